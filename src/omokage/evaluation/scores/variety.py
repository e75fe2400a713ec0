"""Compare the samples with each other: how many are identical, nearly identical, or of a single colour.

These scores use pixels, not features. Features of images that are no faces, such as noise, are all alike, although the
images are not.
"""

import torch
from torch import Tensor
from torch.nn import functional

from omokage.evaluation.scores.copies import CHANCE
from omokage.evaluation.scores.pairwise import iterate_distances

# Maximum root mean square deviation, in grey levels, of a uniform image from its mean colour. Real faces have dozens.
UNIFORM = 2.0
# A sample is nearly identical to another one if its distance is below this fraction of the distance between the most
# similar real faces. At a fraction of 1, a third of strongly blurred faces would be.
SIMILAR = 0.7
BLOCK, MAX_SIDE = 1024, 32  # images converted to float at once, and pixels along a side that are compared


def compare_samples(samples: Tensor, real: Tensor) -> dict[str, float]:
    """Return scores of how much uint8 samples [n, 3, h, w] resemble each other, and the floors (real faces [m, ...]).

    distinct: number of samples that differ from each other in at least one pixel.
    identical: share of the samples that equal an earlier sample in every pixel.
    near_identical: share of the samples whose distance to the most similar other sample is below SIMILAR times the
    CHANCE quantile of this distance for real faces (see `_find_nearest_distances`). Identical samples count as well,
    uniform ones do not.
    uniform: share of the samples of a single colour.
    colour_variety: standard deviation of the mean colours of the samples, divided by that of the real faces.
    """
    distances, real_distances = _find_nearest_distances(samples), _find_nearest_distances(real)
    limit = SIMILAR * torch.quantile(real_distances, CHANCE, interpolation="lower").nan_to_num(posinf=0)
    scores: dict[str, float] = {
        "distinct": _count_distinct(samples),
        "colour_variety": _measure_colour_variety(samples) / max(_measure_colour_variety(real), 1e-9),
    }
    for suffix, images, nearest in (("", samples, distances), ("_floor", real, real_distances)):
        scores[f"identical{suffix}"] = (len(images) - _count_distinct(images)) / len(images)
        scores[f"near_identical{suffix}"] = float((nearest < limit).double().mean())
        scores[f"uniform{suffix}"] = float(find_uniform(images).double().mean())
    return scores


def find_uniform(images: Tensor) -> Tensor:
    """Return which of the uint8 images [n, 3, h, w] have a single colour, bool [n]."""
    variances = [block.float().flatten(2).var(2, correction=0).mean(1) for block in images.split(BLOCK)]
    return torch.cat(variances).sqrt() <= UNIFORM


def _count_distinct(images: Tensor) -> int:
    return len({image.numpy().tobytes() for image in images})


def _measure_colour_variety(images: Tensor) -> float:
    """Return the standard deviation of the mean colours, in grey levels, of uint8 images [n, 3, h, w]."""
    means = torch.cat([block.float().mean((2, 3)) for block in images.split(BLOCK)])
    return float(means.double().var(0, correction=0).sum().sqrt())


def _find_nearest_distances(images: Tensor) -> Tensor:
    """Return the distance of each of n images to the most similar other image, float32 [n]; infinite if it is uniform.

    The distance is sqrt(2 - 2 r) for the correlation r of the pixels of two images, which are reduced to at most
    MAX_SIDE pixels a side. So images of low contrast are not taken for similar ones.
    """
    flat = torch.cat([_standardise(block) for block in images.split(BLOCK)])
    is_uniform = find_uniform(images)
    nearest = torch.empty(len(images))
    for rows, distances in iterate_distances(flat, flat):
        numbers = torch.arange(rows.start, rows.stop)
        distances[torch.arange(len(numbers)), numbers] = torch.inf
        distances[:, is_uniform] = torch.inf
        nearest[rows] = distances.min(1).values
    return nearest.masked_fill(is_uniform, torch.inf)


def _standardise(images: Tensor) -> Tensor:
    """Return uint8 images [n, 3, h, w] as float32 rows with mean 0 and norm 1, reduced to MAX_SIDE pixels a side."""
    pixels = images.float()
    if max(images.shape[2:]) > MAX_SIDE:
        pixels = functional.adaptive_avg_pool2d(pixels, MAX_SIDE)
    flat = pixels.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-6)
