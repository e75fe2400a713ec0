"""From one picture to its faces: square, of one size; or to the reason why there is none."""

import functools
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.data.decode import UnusableError, decode
from omokage.data.detect import Detection, detect

FACE_SIDE = 256  # the longest side of a picture that `auto` takes for a face as it is, in pixels
HAIR = 0.1  # a crop is raised by this fraction of the face's side: hair is above the face, not below it

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Face:
    """What became of one face of a picture, or of the picture where no face was found in it (`number` 0).

    `box` is left, top, right and bottom in the upright picture of `size` (width, height), `how` it was found: whole or
    detected. `pixels`, uint8 [3, side, side], is None where the face is dropped: `kind` and `reason` then say why.
    """

    picture: str
    number: int
    size: tuple[int, int] | None = None
    how: str = ""
    box: Box | None = None
    pixels: NDArray[np.uint8] | None = None
    kind: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Cropper:
    """Takes the faces out of a picture of a zip.

    What is to be a face as it is, is cut to its centre square: with crop `whole` every picture, with `auto` one that
    is small (no side over FACE_SIDE) and nearly square (sides within 10 %): data sets of faces look like that, and the
    detector, which needs room around a face, misses half of them. All else goes through the detector; with `detect`
    everything does. Sizes in pixels, `margin` in sides of the detected face.
    """

    archive: Path
    side: int
    crop: str
    margin: float
    likelihood: float
    smallest: int

    def __call__(self, name: str) -> list[Face]:
        """Return what became of the picture's faces: at least one entry, numbered from 1 from top to bottom."""
        try:
            picture = decode(_content(self.archive, name))
        except UnusableError as error:
            return [Face(name, 0, kind=error.kind, reason=str(error))]
        if self._is_face(picture):
            return [self._face(name, 1, picture, "whole", centre_square(*picture.size))]
        if min(picture.size) < self.smallest:
            return [self._too_small(name, 0, picture, "", None, min(picture.size))]
        found = detect(picture, self.likelihood)
        if not found:
            return [Face(name, 0, picture.size, kind="no face found", reason="no face found")]
        boxes = [face_square(face, self.margin, *picture.size) for face in found]
        return [self._face(name, number, picture, "detected", box) for number, box in enumerate(boxes, 1)]

    def _is_face(self, picture: Image.Image) -> bool:
        shorter, longer = sorted(picture.size)
        return self.crop == "whole" or (self.crop == "auto" and longer <= FACE_SIDE and longer <= 1.1 * shorter)

    def _face(self, name: str, number: int, picture: Image.Image, how: str, box: Box) -> Face:
        if box[2] - box[0] < self.smallest:
            return self._too_small(name, number, picture, how, box, box[2] - box[0])
        # Lanczos over the box alone, its kernel widened to what it shrinks by: no aliasing, nothing from outside.
        small = picture.resize((self.side, self.side), Image.Resampling.LANCZOS, box=box)
        return Face(name, number, picture.size, how, box, np.asarray(small).transpose(2, 0, 1).copy())

    def _too_small(self, name: str, number: int, picture: Image.Image, how: str, box: Box | None, side: int) -> Face:
        reason = f"too small: {side} pixels, expected {self.smallest}"
        return Face(name, number, picture.size, how, box, kind="too small", reason=reason)


def centre_square(width: int, height: int) -> Box:
    """Return the largest square in the middle of a picture."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def face_square(face: Detection, margin: float, width: int, height: int) -> Box:
    """Return the square around a detected face, raised by HAIR, and shifted or shrunk to lie in the picture."""
    side = min(max(1, round(face.side * (1 + 2 * margin))), width, height)
    left = min(max(round(face.x - side / 2), 0), width - side)
    top = min(max(round(face.y - HAIR * face.side - side / 2), 0), height - side)
    return left, top, left + side, top + side


@functools.lru_cache(maxsize=1)
def _opened(archive: Path) -> ZipFile:
    return ZipFile(archive)


def _content(archive: Path, name: str) -> bytes:
    try:
        return _opened(archive).read(name)
    except (BadZipFile, EOFError, zlib.error):
        raise UnusableError("broken", ": damaged in the zip") from None
