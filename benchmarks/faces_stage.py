"""Measure the time and the memory of the whole stage `faces` for 60,000 faces, part by part.

    PYTHONPATH=src .venv/bin/python benchmarks/faces_stage.py FOLDER_OR_ZIP [--count 60000] [--threads 2] [--detected]

The faces are those of the source under the six permutations of the colours, as JPEG files, so the source needs 10,000.
Each is an image that is taken as a whole. With --detected, each image has a detected face instead, and the stage also
searches for copies among the whole images. The parameters are the defaults for a folder.

Appends a row for each part to benchmarks/results/faces_stage.csv. CPU seconds include those of the worker processes.
The memory of a part is the peak of the stage's own process until the end of the part. That of the whole stage is the
peak of all its processes together, where memory that they share counts once.
"""

import argparse
import io
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import psutil
from PIL import Image

from omokage.base.files import hash_bytes, hash_tree
from omokage.base.job import Job
from omokage.config.params_file import default_params
from omokage.data.curation import crop_files, curate, outcomes
from omokage.data.detection.table import SEARCHED, WHOLE, Detection, DetectionResult, write_detections
from omokage.data.images.chunks import ChunkedWork
from omokage.data.images.decode import UnusableImageError, decode_image
from omokage.data.sources import folder
from omokage.params.faces import Params
from omokage.stages import faces

USAGES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
QUALITY = 90  # of the JPEG files
FACE = 0.6  # side of a detected face, as a fraction of the image's
OUTPUTS = ("data/faces", "data/curation.csv", "data/card.safetensors", "results/curation.json", "results/faces.json")
# The parts of the stage, in order, with the functions that do them.
PARTS: list[tuple[str, Any, str]] = [
    ("crop, resize and describe", ChunkedWork, "compute_all"),
    ("read the crops", crop_files, "read_crops"),
    ("read the previews", crop_files, "read_previews"),
    ("search for copies, and group them", faces, "find_groups"),
    ("choose the splits", faces, "choose_sides"),
    ("filters and near-duplicates", curate, "decide_curation"),
    ("count", outcomes, "count_outcomes"),
    ("write the table of decisions", outcomes, "write_decisions"),
    ("write the shards", faces, "write_face_sets"),
    ("data card", faces, "build_data_card"),
]


def main() -> None:
    """Write the inputs of the stage, run it in another process, and record the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder or zip of face crops")
    parser.add_argument("--count", type=int, default=60_000, help="number of faces, if the source has enough")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--detected", action="store_true", help="every image has a detected face")
    arguments = parser.parse_args()
    with TemporaryDirectory() as work:
        count = write_inputs(arguments.source, Path(work), arguments.count, arguments.detected)
        # Not multiprocessing: the workers of the stage would load this module, and with it what they do not need.
        code = f"import faces_stage; faces_stage.measure_stage({work!r}, {arguments.threads})"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        peak = watch_memory(subprocess.Popen([sys.executable, "-c", code], env=environment))
        *parts, whole = json.loads((Path(work) / "parts.json").read_text(encoding="utf-8"))
    # Imported here, because it loads the libraries of all benchmarks: the measured process must not load them.
    from common import append_row

    images = "detected" if arguments.detected else "whole"
    for part in (*parts, {**whole, "peak_gib": peak}):
        append_row("faces_stage", {"images": images, "n": count, "threads": arguments.threads, **part})


def write_inputs(source: Path, work: Path, count: int, has_detections: bool) -> int:
    """Write the inputs of the stage for at most `count` images into `work`, and return the number of images."""
    images = list(read_images(source))
    results = []
    with zipfile.ZipFile(work / "pictures.zip", "w") as archive:
        variants = itertools.product(itertools.permutations(range(3)), images)
        for number, (order, image) in enumerate(itertools.islice(variants, count)):
            content, name = io.BytesIO(), f"{number:06d}.jpg"
            Image.merge("RGB", [image.getchannel(channel) for channel in order]).save(content, "JPEG", quality=QUALITY)
            archive.writestr(name, content.getvalue())
            face = Detection(image.width / 2, image.height / 2, FACE * min(image.size), 1.0)
            found = (SEARCHED, (face,)) if has_detections else (WHOLE,)
            results.append(DetectionResult(name, image.size, *found))
    write_detections(work / "detections.csv", results)
    manifest = {"source": "folder", "count": len(results), "left_out": []}
    (work / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return len(results)


def read_images(source: Path) -> Iterator[Image.Image]:
    """Yield the images of a folder or zip, without files of equal bytes."""
    seen = set()
    for _, content in folder.collect(source, str(source)).files:
        if isinstance(content, bytes) and (digest := hash_bytes(content)) not in seen:
            seen.add(digest)
            try:
                yield decode_image(content)
            except UnusableImageError:
                continue


def measure_stage(folder: str, threads: int) -> None:
    """Run the stage on the inputs in `folder`; write the seconds and the memory of each part to parts.json there."""
    work, defaults = Path(folder), default_params()
    params = Params(**{name: defaults[name] for name in Params.model_fields})
    inputs = {f"data/{name}": work / name for name in ("pictures.zip", "manifest.json", "detections.csv")}
    outputs = {name: work / Path(name).name for name in OUTPUTS}
    parts: list[dict[str, str | float]] = []

    @contextmanager
    def measure(part: str) -> Iterator[None]:
        wall, cpu = time.monotonic(), read_cpu_seconds()
        yield
        seconds, cpu_seconds = round(time.monotonic() - wall, 1), round(read_cpu_seconds() - cpu, 1)
        peak = read_peak()
        parts.append({"part": part, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gib": peak})
        print(parts[-1], flush=True)

    def add_timing(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            with measure(part):
                return function(*arguments)

        return run

    for part, owner, name in PARTS:
        patch.object(owner, name, add_timing(part, getattr(owner, name))).start()
    with measure("the whole stage"):
        faces.run(Job(params, inputs, outputs, work / "chunks", threads))
    patch.stopall()
    for name, path in outputs.items():
        print(name, hash_tree(path))  # to compare the outputs of two versions
    print(outputs["results/curation.json"].read_text(encoding="utf-8"))
    (work / "parts.json").write_text(json.dumps(parts), encoding="utf-8")


def read_cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, USAGES))


def read_peak() -> float:
    """Return the largest resident memory of this process so far, in GiB. (getrusage would include the parent's.)"""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return round(int(kibibytes) / 2**20, 2)


def watch_memory(process: subprocess.Popen) -> float:
    """Wait for a process, and return the largest memory of it and its child processes together, in GiB.

    Memory that they share, such as that of libraries, is divided among them (PSS). Raises CalledProcessError if the
    process fails.
    """
    peak = 0
    while process.poll() is None:
        sizes = []
        with suppress(psutil.NoSuchProcess):
            observed = psutil.Process(process.pid)
            for member in (observed, *observed.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    sizes.append(member.memory_full_info().pss)
        peak = max(peak, sum(sizes))
        time.sleep(0.2)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return round(peak / 2**30, 2)


if __name__ == "__main__":
    main()
