"""Compute face descriptors: a few numbers per crop, for the quality filters and the search for near-duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.data import measures

THUMBNAIL = 16  # side length in pixels
BATCH = 64  # faces converted to floats at once, to save memory


@dataclass(frozen=True)
class FaceDescriptors:
    """The descriptors of n faces with pixel values from 0 to 255.

    `phash` uint64 [n] and `thumbnails` uint8 [n, 16, 16, 3] are for the search for near-duplicates. The others, float32
    [n], are for the quality filters. `sharpness` is the variance of the Laplacian, and `contrast` the standard
    deviation, both of the grey values. `colour` is the mean of max(R, G, B) - min(R, G, B).
    """

    phash: NDArray[np.uint64]
    thumbnails: NDArray[np.uint8]
    sharpness: NDArray[np.float32]
    contrast: NDArray[np.float32]
    colour: NDArray[np.float32]

    @classmethod
    def concatenate(cls, parts: Sequence["FaceDescriptors"]) -> "FaceDescriptors":
        """Return the descriptors of the faces of all `parts`, in order."""
        return cls(*(np.concatenate([vars(part)[name] for part in parts]) for name in cls.__dataclass_fields__))

    @classmethod
    def compute(cls, faces: NDArray[np.uint8]) -> "FaceDescriptors":
        """Return the descriptors of faces, uint8 [n, 3, side, side]."""
        starts = range(0, max(1, len(faces)), BATCH)
        return cls.concatenate([cls._compute_batch(faces[start : start + BATCH]) for start in starts])

    def select(self, rows: NDArray[np.int64]) -> "FaceDescriptors":
        """Return the descriptors of the faces with the indices `rows`."""
        return FaceDescriptors(*(values[rows] for values in vars(self).values()))

    @classmethod
    def _compute_batch(cls, faces: NDArray[np.uint8]) -> "FaceDescriptors":
        images = [Image.fromarray(np.ascontiguousarray(face.transpose(1, 2, 0))) for face in faces]
        thumbnails = [np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)) for image in images]
        values = faces.astype(np.float32)
        return cls(
            np.array([_compute_phash(image) for image in images], np.uint64),
            np.stack(thumbnails) if thumbnails else np.empty((0, THUMBNAIL, THUMBNAIL, 3), np.uint8),
            measures.measure_sharpness(values),
            measures.measure_contrast(values),
            measures.measure_colourfulness(values),
        )


def _compute_phash(image: Image.Image) -> int:
    """Return the 64-bit perceptual hash of an image (Zauner 2010, section 3.2.1)."""
    return int.from_bytes(np.packbits(imagehash.phash(image).hash).tobytes(), "big")
