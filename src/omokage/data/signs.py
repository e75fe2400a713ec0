"""What a face is known again by, and what its picture is worth: a few numbers for each."""

from collections.abc import Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.data import measures

THUMBNAIL = 16  # pixels a side
AT_ONCE = 64


@dataclass(frozen=True)
class Signs:
    """Of n faces: `phash` uint64 [n] and `thumbnails` uint8 [n, 16, 16, 3], by which alike ones are found; float32 [n]
    `sharpness` (variance of the Laplacian), `contrast` (standard deviation) and `colour` (mean distance between the
    largest and the smallest of red, green and blue), of pixel values from 0 to 255."""

    phash: NDArray[np.uint64]
    thumbnails: NDArray[np.uint8]
    sharpness: NDArray[np.float32]
    contrast: NDArray[np.float32]
    colour: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: Sequence["Signs"]) -> "Signs":
        """Return the signs of all the faces, in order."""
        return cls(*(np.concatenate([vars(part)[name] for part in parts]) for name in cls.__dataclass_fields__))

    def only(self, rows: NDArray[np.int64]) -> "Signs":
        """Return the signs of the faces in these rows."""
        return Signs(*(values[rows] for values in vars(self).values()))

    @classmethod
    def of(cls, faces: NDArray[np.uint8]) -> "Signs":
        """Return the signs of faces, uint8 [n, 3, side, side], of which a few at a time are held as floats."""
        starts = range(0, max(1, len(faces)), AT_ONCE)
        return cls.joined([cls._of(faces[start : start + AT_ONCE]) for start in starts])

    @classmethod
    def _of(cls, faces: NDArray[np.uint8]) -> "Signs":
        images = [Image.fromarray(np.ascontiguousarray(face.transpose(1, 2, 0))) for face in faces]
        small = [np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)) for image in images]
        values = faces.astype(np.float32)
        return cls(
            np.array([_phash(image) for image in images], np.uint64),
            np.stack(small) if small else np.empty((0, THUMBNAIL, THUMBNAIL, 3), np.uint8),
            measures.sharpness(values),
            measures.contrast(values),
            measures.colour(values),
        )


def _phash(image: Image.Image) -> int:
    """Return the perceptual hash of 64 bits: signs of the lowest frequencies (Zauner 2010, section 3.2.1)."""
    return int.from_bytes(np.packbits(imagehash.phash(image).hash).tobytes(), "big")
