"""Compare the samples with each other: how many are identical, nearly identical, or of a single colour.

These scores use pixels, not features. Features of images that are no faces, such as noise, are all alike, although the
images are not.
"""

from collections import Counter

import torch
from torch import Tensor

from omokage.evaluation.scores.neighbours import CHANCE
from omokage.evaluation.scores.pairwise import iterate_distances

# Maximum root mean square deviation, in grey levels, of a uniform image from its mean colour. Real faces have dozens.
UNIFORM = 2.0


def compare_samples(samples: Tensor, real: Tensor) -> dict[str, float]:
    """Return scores of how much uint8 samples [n, 3, h, w] resemble each other, and the floors (real faces [m, ...]).

    distinct: number of samples that differ from each other in at least one pixel.
    identical: share of the samples that equal another sample in every pixel.
    near_identical: share of the samples that resemble another sample more than CHANCE of the real faces resemble
    another real face (see `_find_nearest_distances`). Identical samples count as well, uniform ones do not.
    uniform: share of the samples of a single colour.
    """
    distances, real_distances = _find_nearest_distances(samples), _find_nearest_distances(real)
    limit = torch.quantile(real_distances, CHANCE, interpolation="lower").nan_to_num(posinf=0)
    scores: dict[str, float] = {"distinct": len(_count_images(samples))}
    for suffix, images, nearest in (("", samples, distances), ("_floor", real, real_distances)):
        scores[f"identical{suffix}"] = _compute_identical_share(images)
        scores[f"near_identical{suffix}"] = float((nearest < limit).double().mean())
        scores[f"uniform{suffix}"] = float(find_uniform(images).double().mean())
    return scores


def find_uniform(images: Tensor) -> Tensor:
    """Return which of the uint8 images [n, 3, h, w] have a single colour, bool [n]."""
    return images.double().flatten(2).var(2, correction=0).mean(1).sqrt() <= UNIFORM


def _count_images(images: Tensor) -> Counter[bytes]:
    return Counter(image.numpy().tobytes() for image in images)


def _compute_identical_share(images: Tensor) -> float:
    return sum(times for times in _count_images(images).values() if times > 1) / len(images)


def _find_nearest_distances(images: Tensor) -> Tensor:
    """Return the distance of each of n images to the most similar other image, float32 [n]; infinite if it is uniform.

    The distance is sqrt(2 - 2 r) for the correlation r of the pixels of two images. So images of low contrast are not
    taken for similar ones.
    """
    flat = images.flatten(1).float()
    flat = flat - flat.mean(1, keepdim=True)
    flat = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-6)
    is_uniform = find_uniform(images)
    nearest = torch.empty(len(images))
    for rows, distances in iterate_distances(flat, flat):
        numbers = torch.arange(rows.start, rows.stop)
        distances[torch.arange(len(numbers)), numbers] = torch.inf
        distances[:, is_uniform] = torch.inf
        nearest[rows] = distances.min(1).values
    return nearest.masked_fill(is_uniform, torch.inf)
