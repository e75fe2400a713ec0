"""Compute the face rate: the share of images in which the face detector finds a face.

Images are face crops of a few dozen pixels, and the detector needs a larger face with a margin around it. So each image
is enlarged, and a margin in its mean colour is added. SIDE and MARGIN were chosen on real faces: see
docs/guides/scores.md and benchmarks/face_rate.py.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from omokage.base.progress import show_progress
from omokage.data.detection.detector import DETECTOR

SIDE = 96  # pixels of an image after enlarging (longer side), without the margin
MARGIN = 0.25  # on each side, as a fraction of SIDE
LIKELIHOOD = 0.95  # minimum likelihood of a detection; the default of crop_likelihood


def compute_face_rates(samples: NDArray[np.uint8], held_out: NDArray[np.uint8]) -> dict[str, float]:
    """Return the face rate of uint8 samples [n, 3, h, w], and that of the first n held-out faces (the floor).

    Both are enlarged in the same way.
    """
    return {
        "face_rate": compute_face_rate(samples),
        "face_rate_floor": compute_face_rate(held_out[: len(samples)]),
    }


def compute_face_rate(images: NDArray[np.uint8]) -> float:
    """Return the share, from 0 to 1, of uint8 images [n, 3, h, w] with a detection of at least LIKELIHOOD."""
    # An image takes about 10 ms. Further processes would import torch first, which takes seconds.
    likelihoods = show_progress(map(rate_face, images), "searching for faces", total=len(images), unit="image")
    return float(np.mean([likelihood >= LIKELIHOOD for likelihood in likelihoods]))


def rate_face(image: NDArray[np.uint8]) -> float:
    """Return the detector's likelihood, from 0 to 1, that a uint8 image [3, h, w] shows a face."""
    return DETECTOR.rate_face(enlarge(image, SIDE, MARGIN))


def enlarge(image: NDArray[np.uint8], side: int, margin: float) -> Image.Image:
    """Return a uint8 image [3, h, w] with its longer side resized to `side` pixels (Lanczos), inside a margin.

    The margin has the mean colour of the image. Its width is the fraction `margin` of `side`.
    """
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    scale = side / max(picture.size)
    enlarged = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    return ImageOps.expand(enlarged, round(margin * side), _compute_mean_colour(image))


def _compute_mean_colour(image: NDArray[np.uint8]) -> tuple[int, ...]:
    means: Sequence[float] = image.mean((1, 2)).tolist()
    return tuple(round(mean) for mean in means)
