"""Make random images, and run the data stages (download, detect, faces) on images."""

import csv
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from omokage.base.job import Job
from omokage.data.sources import avatars
from omokage.params.detect import Params as DetectParams
from omokage.params.download import Params as DownloadParams
from omokage.params.faces import Params as FacesParams
from omokage.stages import detect, download, faces

DOWNLOAD_PARAMS: dict[str, Any] = {
    "source": "avatars",
    "avatar_styles": ["adventurer", "lorelei"],
    "avatar_count": 5,
    "avatar_backgrounds": ["b6e3f4", "ffdfbf"],
    "avatar_size": 32,
    "avatar_seed": 0,
    "folder": "pictures",
    "kaggle_dataset": "someone/faces",
    "kaggle_version": 1,
}
FACES_PARAMS: dict[str, Any] = {
    "image_size": 16,
    "crop_margin": 0.3,
    "crop_likelihood": 0.5,
    "faces_per_picture": 8,
    "min_side": 24,
    "max_dropped": 1.0,
    "copies": "identical",
    "near_duplicates": 0.0,
    "min_sharpness": 0.0,
    "min_contrast": 0.0,
    "min_colour": 0.0,
    "held_out": 0.4,
}
OUTPUTS = ("data/faces", "data/curation.csv", "data/card.safetensors", "results/curation.json", "results/faces.json")


def encode_image(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """Return the bytes of an image file; `options` are Pillow's for the format."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def random_image(seed: int, width: int = 40, height: int = 40) -> Image.Image:
    """Return an RGB image of uniform noise."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def fake_png(text: str) -> bytes:
    """Return bytes that the stage download takes for a PNG file, since it looks at the first bytes only."""
    return b"\x89PNG\r\n\x1a\n" + text.encode()


def read_zip(path: Path) -> dict[str, bytes]:
    """Return the files in a zip, by name."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def write_random_images(folder: Path, count: int, first: int = 0) -> None:
    """Write `count` random avatars as face-NUMBER.png, where the first NUMBER is `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = avatars.collect(["adventurer"], first + count, ["ffffff", "c0aede"], 48, 7, 1).files
    for number, (_, content) in enumerate(files):
        if number >= first and isinstance(content, bytes):
            (folder / f"face-{number}.png").write_bytes(content)


def run_download(
    tmp_path: Path, source_path: Path | None = None, threads: int = 1, **changes: object
) -> tuple[Path, Any, Any]:
    """Run download; return the path of the zip, the manifest and the job's facts. `changes` are parameters."""
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    job = Job(
        DownloadParams(**DOWNLOAD_PARAMS | changes),
        inputs={"remote://checkout/${folder}": source_path or tmp_path / "absent"},
        outputs={name: out / Path(name).name for name in ("data/pictures.zip", "data/manifest.json")},
        work=out / "work",
        threads=threads,
    )
    download.run(job)
    return out / "pictures.zip", json.loads((out / "manifest.json").read_text(encoding="utf-8")), job.facts


def run_detect_and_faces(
    out: Path,
    work: Path,
    threads: int = 1,
    crop: Literal["auto", "detect", "whole"] = "auto",
    jobs: int = 1,
    **changes: object,
) -> None:
    """Run detect and faces on out/pictures.zip, each split into `jobs` parts; `changes` are parameters of faces."""
    names = ("data/pictures.zip", "data/manifest.json", "data/detections.csv", *OUTPUTS)
    paths = {name: out / Path(name).name for name in names}
    detect_job = Job(DetectParams(crop=crop), paths, paths, work / "detect", threads)
    faces_job = Job(FacesParams(**FACES_PARAMS | changes), paths, paths, work / "faces", threads)
    for stage, job in ((detect, detect_job), (faces, faces_job)):
        for part in range(jobs if jobs > 1 else 0):
            stage.run_part(job, part, jobs)
        stage.run(job)


def run_faces(tmp_path: Path, images: dict[str, bytes], skipped: str = "", **options: Any) -> tuple[Path, Any, Any]:
    """Run detect and faces on images; return the folder of outputs, the rows of curation.csv, and the counts of faces.

    `images` maps file names to contents. `skipped` is the name of a file that the stage download has left out.
    `options` are arguments of `run_detect_and_faces`.
    """
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    write_archive(out, images, skipped)
    with tempfile.TemporaryDirectory() as work:
        run_detect_and_faces(out, Path(work), **options)
    return out, read_table(out / "curation.csv"), json.loads((out / "curation.json").read_text())


def write_archive(folder: Path, images: dict[str, bytes], skipped: str = "") -> Path:
    """Write the outputs of the stage download into `folder`, and return the path of the zip. See `run_faces`."""
    with zipfile.ZipFile(folder / "pictures.zip", "w") as file:
        for name, content in images.items():
            file.writestr(name, content)
    entry = {"name": skipped, "kind": "not an image", "reason": "not an image: text", "may_be_image": False}
    manifest = {"source": "folder", "count": len(images), "left_out": [entry] if skipped else []}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder / "pictures.zip"


def read_index(out: Path) -> list[dict[str, str]]:
    """Return the rows of the index of the face shards in the folder of outputs."""
    return read_table(out / "faces" / "index.csv")


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV table."""
    with path.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))
