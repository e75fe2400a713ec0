"""From one picture, and what was seen in it, to its faces: square, of one size; or to the reason why there is none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.data.decode import UnusableError, decode
from omokage.data.sightings import Detection, Sighting

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
    """Cuts the faces out of a picture.

    A picture that is a face as it is, is cut to its centre square; in another the `most` likeliest faces (the largest
    of equally likely ones) are cut, those at least `likelihood` likely. Sizes in pixels, `margin` in sides of the face.
    """

    side: int
    margin: float
    likelihood: float
    most: int
    smallest: int

    def __call__(self, seen: Sighting, content: bytes) -> list[Face]:
        """Return what became of the faces: at least one entry; numbers are those of the sighting's faces, from 1."""
        if seen.size is None:
            return [Face(seen.picture, 0, kind=seen.seen, reason=seen.reason)]
        boxes = self.boxes(seen)
        if not boxes and min(seen.size) < self.smallest:
            return [self._too_small(seen, 0, "", None, min(seen.size))]
        if not boxes:
            return [Face(seen.picture, 0, seen.size, kind="no face found", reason=self._nothing(seen))]
        how = "whole" if seen.seen == "whole" else "detected"
        if all(self._small(box) for box in boxes.values()):
            return [self._too_small(seen, number, how, box, box[2] - box[0]) for number, box in boxes.items()]
        try:
            picture = decode(content)
        except UnusableError as error:
            return [Face(seen.picture, 0, seen.size, how, kind=error.kind, reason=str(error))]
        return [self._face(seen, number, how, box, picture) for number, box in boxes.items()]

    def boxes(self, seen: Sighting) -> dict[int, Box]:
        """Return the square of each face to be cut, by its number."""
        assert seen.size is not None
        if seen.seen == "whole":
            return {1: centre_square(*seen.size)}
        likely = [(number, face) for number, face in enumerate(seen.faces, 1) if face.likelihood >= self.likelihood]
        likely.sort(key=lambda found: (round(found[1].likelihood, 2), found[1].side), reverse=True)
        return {number: face_square(face, self.margin, *seen.size) for number, face in sorted(likely[: self.most])}

    def _nothing(self, seen: Sighting) -> str:
        surest = max((face.likelihood for face in seen.faces), default=None)
        return "no face found" + ("" if surest is None else f": the likeliest has {surest:.2f} of {self.likelihood}")

    def _small(self, box: Box) -> bool:
        return box[2] - box[0] < self.smallest

    def _too_small(self, seen: Sighting, number: int, how: str, box: Box | None, side: int) -> Face:
        reason = f"too small: {side} pixels, expected {self.smallest}"
        return Face(seen.picture, number, seen.size, how, box, kind="too small", reason=reason)

    def _face(self, seen: Sighting, number: int, how: str, box: Box, picture: Image.Image) -> Face:
        if self._small(box):
            return self._too_small(seen, number, how, box, box[2] - box[0])
        # Lanczos over the box alone, its kernel widened to what it shrinks by: no aliasing, nothing from outside.
        small = picture.resize((self.side, self.side), Image.Resampling.LANCZOS, box=box)
        return Face(seen.picture, number, seen.size, how, box, np.asarray(small).transpose(2, 0, 1).copy())


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
