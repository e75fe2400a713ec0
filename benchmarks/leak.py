"""Measure how well copies are found, and whether copies are in both splits.

    PYTHONPATH=src .venv/bin/python benchmarks/leak.py faces FOLDER_OR_ZIP      changed copies of face crops
    PYTHONPATH=src .venv/bin/python benchmarks/leak.py avatars                  the same for 500 avatars
    PYTHONPATH=src .venv/bin/python benchmarks/leak.py two-sizes FOLDER_OR_ZIP  illustrations next to smaller copies
    PYTHONPATH=src .venv/bin/python benchmarks/leak.py speed FOLDER_OR_ZIP      60,000 faces: time and memory

`faces` and `avatars` print the share of copies found by change, and write pairs of different files that were taken for
copies to contact sheets in .dvc/tmp/benchmarks, to be judged by eye. All append to benchmarks/results/leak.csv.
"""

import argparse
import io
import itertools
import resource
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import WORK, append_row
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from omokage.base.files import hash_bytes
from omokage.config.params_file import default_params
from omokage.data.curation import copies
from omokage.data.curation.crop_files import Previews
from omokage.data.curation.curate import FaceRecord
from omokage.data.curation.face_cropper import FaceCropper, make_preview
from omokage.data.curation.groups import group_images
from omokage.data.curation.splits import choose_sides
from omokage.data.detection.analyse import analyse_image
from omokage.data.images.decode import UnusableImageError, decode_image
from omokage.data.sources import folder
from omokage.data.sources.avatars import AvatarRenderer

SEED, CHANGED, AVATARS, MANY, THREADS = 0, 400, 500, 60_000, 2
Generator = np.random.Generator
Change = Callable[[Image.Image, Generator], Image.Image]


def move(image: Image.Image, generator: Generator, pixels: int) -> Image.Image:
    """Return the image moved by a number of pixels (of 64) in a random direction; its edge pixels are repeated."""
    distance = round(pixels * image.width / 64)
    right, down = generator.choice([(1, 0), (0, 1), (1, 1), (1, -1)]) * generator.choice([-1, 1]) * distance
    margin = ((distance, distance), (distance, distance), (0, 0))
    inner = slice(distance, -distance)
    return Image.fromarray(np.roll(np.pad(np.asarray(image), margin, mode="edge"), (down, right), (0, 1))[inner, inner])


def crop(image: Image.Image, generator: Generator, fraction: float) -> Image.Image:
    """Return the image at its old size without a fraction of each side, split between the two ends at random."""
    width, height = image.width * (1 - fraction), image.height * (1 - fraction)
    left, top = (image.width - width) * generator.random(), (image.height - height) * generator.random()
    return image.resize(image.size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))


def add_border(image: Image.Image, fraction: float, colour: str) -> Image.Image:
    """Return the image inside a border of a fraction of its side, at its old size."""
    width = round(image.width * fraction)
    small = image.resize((image.width - 2 * width, image.height - 2 * width), Image.Resampling.LANCZOS)
    return ImageOps.expand(small, width, colour)


def compress(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after JPEG compression."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def scale(image: Image.Image, factor: float) -> Image.Image:
    """Return the image at another size."""
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def mark(image: Image.Image) -> Image.Image:
    """Return the image with a half-transparent signature in its lower right corner."""
    marked, side = image.copy(), image.width
    text = ImageDraw.Draw(marked, "RGBA")
    text.text((0.6 * side, 0.84 * side), "name", fill=(255, 255, 255, 128), font_size=0.14 * side)
    return marked


CHANGES: dict[str, Change] = {
    **{f"moved by {n} of 64 pixels": partial(move, pixels=n) for n in (1, 2, 3)},
    **{f"cropped by {n} %": partial(crop, fraction=n / 100) for n in (4, 8)},
    "10 % brighter": lambda image, _: ImageEnhance.Brightness(image).enhance(1.1),
    "10 % darker": lambda image, _: ImageEnhance.Brightness(image).enhance(0.9),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "white border of 4 %": lambda image, _: add_border(image, 0.04, "white"),
    "black border of 4 %": lambda image, _: add_border(image, 0.04, "black"),
    "JPEG 60": lambda image, _: compress(image, 60),
    "70 % of the size, JPEG 85": lambda image, _: compress(scale(image, 0.7), 85),
    "half the size": lambda image, _: scale(image, 0.5),
    "signature": lambda image, _: mark(image),
    "mirrored, cropped by 8 %, JPEG 75": lambda image, generator: compress(
        crop(ImageOps.mirror(image), generator, 0.08), 75
    ),
}


def read_images(source: Path) -> Iterator[tuple[bytes, Image.Image]]:
    """Yield the bytes and pixels of the images of a folder or zip, without files of equal bytes."""
    seen = set()
    for _, content in folder.collect(source, str(source)).files:
        if isinstance(content, bytes) and (digest := hash_bytes(content)) not in seen:
            seen.add(digest)
            try:
                yield content, decode_image(content)
            except UnusableImageError:
                continue


def measure_changes(images: list[Image.Image], tolerance: float, command: str) -> None:
    """Print and record the share of changed copies that are found, one change at a time, and the merged originals."""
    generator = np.random.default_rng(SEED)
    previews = np.stack([make_preview(image) for image in images])
    chosen = generator.choice(len(images), min(CHANGED, len(images)), replace=False)
    for name, change in CHANGES.items():
        changed = np.stack([make_preview(change(images[number], generator)) for number in chosen])
        groups = copies.find_copies(np.concatenate([previews[chosen], changed]), tolerance)
        found = float((groups[: len(chosen)] == groups[len(chosen) :]).mean())
        record(command, f"copies found: {name}", len(chosen), round(found, 4))
    groups = copies.find_copies(previews, tolerance)
    record(command, "originals merged with another one", len(images), len(images) - len(np.unique(groups)))
    draw_groups(command, images, groups)


def draw_groups(command: str, images: list[Image.Image], groups: NDArray[np.int64]) -> None:
    """Write contact sheets of the groups of several originals, to be judged by eye."""
    labels, sizes = np.unique(groups, return_counts=True)
    members = [np.flatnonzero(groups == label) for label in labels[sizes > 1]]
    side, columns, rows = 80, 20, 18
    cells: list[int | None] = []
    for group in members:
        if len(cells) % columns + len(group) > columns:
            cells += [None] * (-len(cells) % columns)
        cells += [*map(int, group), None]
    WORK.mkdir(parents=True, exist_ok=True)
    for page, start in enumerate(range(0, len(cells), columns * rows)):
        sheet = Image.new("RGB", (columns * side, rows * side), "white")
        for place, number in enumerate(cells[start : start + columns * rows]):
            if number is not None:
                position = (place % columns * side, place // columns * side)
                sheet.paste(images[number].resize((side - 2, side - 2)), position)
        sheet.save(WORK / f"leak-{command}-{page}.png")
    print(f"{len(members)} groups of originals: contact sheets in {WORK}")


def measure_two_sizes(images: list[tuple[bytes, Image.Image]]) -> None:
    """Record how many illustrations have faces in both splits, if each lies next to a smaller copy of itself."""
    params = default_params()
    cropper = FaceCropper(
        32, params["crop_margin"], params["crop_likelihood"], params["faces_per_picture"], params["min_side"]
    )
    crops, owners, hashes = [], [], []
    for number, (content, image) in enumerate(images):
        small = io.BytesIO()
        scale(image, 0.7).save(small, "JPEG", quality=85)
        for name, data in ((f"{number:03d}", content), (f"{number:03d}-small", small.getvalue())):
            found = [face for face in cropper(analyse_image(name, data, "auto"), data) if face.pixels is not None]
            crops += found
            owners += [number] * len(found)
            hashes += [hash_bytes(data)] * len(found)
    records = [FaceRecord(face, sha256, "x") for face, sha256 in zip(crops, hashes, strict=True)]
    previews = Previews.collect(crops)
    tolerance = copies.choose_tolerance("auto", "folder")
    image_groups = dict(zip(previews.names, copies.find_copies(previews.images, tolerance).tolist(), strict=True))
    face_groups = copies.find_copies(previews.faces, tolerance)
    with_both = {name.removesuffix("-small") for name in image_groups if name.endswith("-small")} & {*image_groups}
    for name, groups in (
        ("by file, without groups", list(range(len(records)))),
        ("by groups of copies", group_images(records, face_groups, image_groups)),
    ):
        splits = choose_sides(records, groups, params["held_out"])
        sides = [{side for side, owner in zip(splits, owners, strict=True) if owner == n} for n in range(len(images))]
        record("two-sizes", f"illustrations in both splits, {name}", len(with_both), sum(len(s) > 1 for s in sides))
    pairs = [image_groups[name] == image_groups[f"{name}-small"] for name in with_both]
    record("two-sizes", "illustrations grouped with their smaller copy as a whole", len(pairs), sum(pairs))
    distinct = len({image_groups[name] for name in with_both})
    record("two-sizes", "different illustrations merged", len(with_both), len(with_both) - distinct)


def measure_speed(source: Path) -> None:
    """Record the time and the memory of the search among MANY faces: the images under permutations of the colours."""
    previews = np.stack([make_preview(image) for _, image in read_images(source)])
    many = np.empty((min(MANY, 6 * len(previews)), *previews.shape[1:]), np.uint8)
    for number, order in enumerate(itertools.permutations(range(3))):
        block = many[number * len(previews) :][: len(previews)]
        block[:] = previews[: len(block), ..., list(order)]
    del previews
    record("speed", "peak memory before the search (GiB)", len(many), measure_peak())
    wall, cpu = time.monotonic(), time.process_time()
    copies.find_copies(many, copies.TOLERANCES["lenient"], THREADS)
    record("speed", f"seconds of the search in {THREADS} threads", len(many), round(time.monotonic() - wall, 1))
    record("speed", "CPU seconds of the search", len(many), round(time.process_time() - cpu, 1))
    record("speed", "peak memory of the process (GiB)", len(many), measure_peak())


def measure_peak() -> float:
    """Return the largest resident memory of this process so far, in GiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def record(command: str, measure: str, n: int, value: float) -> None:
    """Print a result and append it to the table of results."""
    print(f"{measure}: {value} (n = {n})", flush=True)
    append_row("leak", {"command": command, "measure": measure, "n": n, "seed": SEED, "value": value})


def main() -> None:
    """Run the measurement named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["faces", "avatars", "two-sizes", "speed"])
    parser.add_argument("source", type=Path, nargs="?", help="folder or zip of images")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as in the stage `faces`
    if arguments.command == "avatars":
        params = default_params()
        renderer = AvatarRenderer(
            tuple(params["avatar_styles"]), tuple(params["avatar_backgrounds"]), params["avatar_size"], SEED
        )
        avatars = [decode_image(renderer(number)) for number in range(AVATARS)]
        measure_changes(avatars, copies.TOLERANCES["strict"], "avatars")
        return
    if arguments.command == "speed":
        measure_speed(arguments.source)
        return
    images = list(read_images(arguments.source))
    if arguments.command == "two-sizes":
        measure_two_sizes(images)
    else:
        measure_changes([image for _, image in images], copies.TOLERANCES["lenient"], "faces")


if __name__ == "__main__":
    main()
