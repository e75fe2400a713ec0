"""Read square images of one size from a folder or archive that nobody has checked.

The files are chosen, limited and decoded as the pipeline does it (data/sources and data/images).
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from omokage.base.errors import UserError
from omokage.base.files import hash_bytes
from omokage.data.images.decode import UnusableImageError, decode_image, read_upright_size
from omokage.data.sources.archive import EXPECTED, open_archive
from omokage.data.sources.collection import SkippedFile
from omokage.data.sources.container import read_container
from omokage.data.sources.directory import open_folder

MIN_SIDE, MAX_SIDE = 8, 512  # the limits of the parameter image_size

NamedPixels = tuple[str, NDArray[np.uint8]]


@dataclass
class ImageSet:
    """Images of one size, and what was done with the other files next to them.

    `images` are the chosen images, uint8 [n, 3, side, side], and `readable` is the number from which they were chosen.
    `copies` of these were left out, since they equal another one in every pixel (see `sample_real_images`). `resized`
    counts the readable images by their original side length, if it was another one. `unreadable` has the reason for
    each file that is meant as an image and cannot be read, by name. `others` is the number of other files.
    """

    images: Tensor = field(default_factory=lambda: torch.empty(0))
    readable: int = 0
    copies: int = 0
    resized: Counter[int] = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)
    others: int = 0


def read_images(path: Path, side: int, can_resize: bool, limit: int) -> ImageSet:
    """Return the first `limit` images, by name, of `side` x `side` pixels in a folder, zip or tar.

    With `can_resize`, square images of another size are resized with Lanczos, as the stage `faces` does. All images are
    decoded, so that the counts are those of the whole folder. Raises UserError if `path` has no images, if one is not
    square, or if one has another size and `can_resize` is not set.
    """
    found, unfit = ImageSet(), list[str]()
    images = _read_pixels(path, side, can_resize, found, unfit)
    return _complete(path, side, found, unfit, heapq.nsmallest(limit, images, key=lambda image: image[0]))


def sample_real_images(path: Path, side: int, can_resize: bool, limit: int) -> ImageSet:
    """Return `limit` random images of a folder, zip or tar in random order, of several equal ones only one.

    The choice and the order depend on the pixels alone. See `read_images`.
    """
    found, unfit, hashes = ImageSet(), list[str](), set[str]()

    def list_distinct() -> Iterator[NamedPixels]:
        for _, pixels in _read_pixels(path, side, can_resize, found, unfit):
            digest = hash_bytes(pixels.tobytes())
            found.copies += digest in hashes
            if digest not in hashes:
                hashes.add(digest)
                yield digest, pixels

    chosen = heapq.nsmallest(limit, list_distinct(), key=lambda image: image[0])
    return _complete(path, side, found, unfit, chosen)


def _complete(path: Path, side: int, found: ImageSet, unfit: Sequence[str], chosen: Sequence[NamedPixels]) -> ImageSet:
    """Return the set with the chosen images; raise UserError if there are none, or if some images do not fit."""
    if unfit:
        more = f" and {len(unfit) - 1} more" if len(unfit) > 1 else ""
        advice = "crop it to a square" if unfit[0].endswith("not square") else "resize the images with --resize"
        raise UserError(f"{path}: {unfit[0]}{more}: expected {side} x {side} as the real faces: {advice}")
    if not chosen:
        (name, reason), *_ = found.unreadable.items()
        raise UserError(f"{path}: none of {len(found.unreadable)} images can be read, first {name} ({reason})")
    found.images = torch.from_numpy(np.stack([pixels for _, pixels in chosen]))
    return found


def find_usual_side(path: Path) -> int:
    """Return the most frequent side length of the square images in a folder, zip or tar, of several the smallest.

    Raises UserError if there is none, or if it is not from MIN_SIDE to MAX_SIDE pixels.
    """
    sides: Counter[int] = Counter()
    for _, content in _open(path):
        try:
            if isinstance(content, bytes):
                width, height = read_upright_size(content)
                sides[width] += width == height
        except UnusableImageError:
            continue
    side = max(sorted(sides), key=sides.__getitem__, default=0)
    if not sides[side]:
        raise UserError(f"{path} holds no square image: crop the images to squares")
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise UserError(f"{path}: the images have {side} x {side} pixels, expected {MIN_SIDE} to {MAX_SIDE} a side")
    return side


def _open(path: Path) -> Iterator[tuple[str, bytes | SkippedFile]]:
    """Yield the files of a folder or archive as `read_container` does, with messages for a path that was typed."""
    if not path.exists():
        raise UserError(f"{path} does not exist: {EXPECTED}")
    try:
        container = (open_folder if path.is_dir() else open_archive)(path, str(path))
        yield from read_container(container, "add some, or give another folder")
    except UserError as error:
        # Messages of the data sources name the parameter `folder`.
        raise UserError(str(error).replace("set folder to", "give")) from error


def _read_pixels(path: Path, side: int, can_resize: bool, found: ImageSet, unfit: list[str]) -> Iterator[NamedPixels]:
    """Yield the name and the pixels, uint8 [3, side, side], of each image that fits, and count all files in `found`.

    Images that do not fit are described in `unfit`.
    """
    for name, content in _open(path):
        if isinstance(content, SkippedFile):
            if content.may_be_image:
                found.unreadable[name] = content.reason
            else:
                found.others += 1
            continue
        try:
            image = decode_image(content)
        except UnusableImageError as error:
            found.unreadable[name] = str(error)
            continue
        if image.width != image.height:
            unfit.append(f"{name} has {image.width} x {image.height} pixels, which is not square")
        elif image.width == side:
            found.readable += 1
            yield name, _to_pixels(image)
        elif can_resize:
            found.readable += 1
            found.resized[image.width] += 1
            yield name, _to_pixels(image.resize((side, side), Image.Resampling.LANCZOS))
        else:
            unfit.append(f"{name} has {image.width} x {image.height} pixels")


def _to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image).transpose(2, 0, 1).copy()
