"""Find the nearest real faces of each sample, and compute the share of samples that are copies of training faces.

The samples of a model that has memorised its training set lie closer to the training set than to the held-out set. But
the training set is larger, so by chance alone the nearest training face is closer than the nearest held-out face. To
measure this effect, the same search is made for every held-out face, in the training set and in the rest of the
held-out set. The samples of a model that copies nothing give the same result as held-out faces.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from omokage.evaluation.scores.pairwise import iterate_distances

# By definition, this share of the held-out faces counts as copies: by chance, some are close to a training face.
CHANCE = 0.01
# Added to both distances of a ratio, so that equal images do not cause a division by zero. Far below one grey level.
EPSILON = 1e-3
CHUNK = 4096  # faces whose pixels are compared at once


@dataclass(frozen=True)
class NearestNeighbours:
    """The nearest face to each of n images: its index in the set of faces, int64 [n], and its distance, float64 [n]."""

    index: Tensor
    distance: Tensor

    def at(self, row: int) -> tuple[int, float]:
        """Return the index and the distance of the nearest neighbour of image number `row`."""
        return int(self.index[row]), float(self.distance[row])


def find_nearest_in_features(features: Tensor, reference: Tensor) -> NearestNeighbours:
    """Return the nearest row of the reference [m, d] to each row of the features [n, d], by Euclidean distance."""
    blocks = [distances.min(1) for _, distances in iterate_distances(features.double(), reference.double())]
    return NearestNeighbours(
        torch.cat([block.indices for block in blocks]), torch.cat([block.values for block in blocks])
    )


def find_nearest_in_pixels(
    images: Tensor, faces: Tensor, device: torch.device, mirrored: bool, include_self: bool = True
) -> NearestNeighbours:
    """Return the nearest of the faces, uint8 [m, 3, h, w], to each of the images, uint8 [n, 3, h, w].

    The distance is the root mean square difference in grey levels (0 to 255). With `mirrored`, images are also compared
    with the mirror image of each face, because a model trained with flips may generate it. The smaller distance counts.
    Without `include_self`, image i is not compared with face i: use this if the images are the faces themselves.
    """
    best = NearestNeighbours(
        torch.zeros(len(images), dtype=torch.int64), torch.full((len(images),), torch.inf).double()
    )
    flat = _flatten(images, device)
    for first in range(0, len(faces), CHUNK):
        chunk = faces[first : first + CHUNK]
        for candidates in (chunk, chunk.flip(3)) if mirrored else (chunk,):
            for rows, distances in iterate_distances(flat, _flatten(candidates, device)):
                if not include_self:
                    numbers = torch.arange(rows.start, rows.stop)[:, None]
                    distances[numbers == torch.arange(len(chunk)) + first] = torch.inf
                nearest = distances.min(1)
                index = nearest.indices.cpu()
                # float32 is enough to find the nearest face. Only the distance to that face is computed in float64.
                exact = (images[rows].double() - candidates[index].double()).square().mean((1, 2, 3)).sqrt()
                closer = (exact < best.distance[rows]) & nearest.values.cpu().isfinite()
                best.distance[rows] = torch.where(closer, exact, best.distance[rows])
                best.index[rows] = torch.where(closer, index + first, best.index[rows])
    return best


def _flatten(faces: Tensor, device: torch.device) -> Tensor:
    return faces.flatten(1).to(device, torch.float32) - 128


def compute_distance_ratios(train: NearestNeighbours, held_out: NearestNeighbours) -> Tensor:
    """Return, for each image, the distance to the nearest training face divided by that to the nearest held-out face.

    The result is [n]. `train` and `held_out` are the neighbours of the same n images in the two sets.
    """
    return (train.distance + EPSILON) / (held_out.distance + EPSILON)


def compute_copied_share(samples: Tensor, held_out: Tensor) -> float:
    """Return the share of samples that count as copies of training faces.

    `samples` [n] and `held_out` [m] are the distance ratios of the samples and of the held-out faces. A sample counts
    as a copy if its ratio is below the CHANCE quantile of the held-out faces' ratios. So a model that copies nothing
    scores about CHANCE, or about 1 / (m + 1) if there are fewer than 1 / CHANCE held-out faces.
    """
    limit = torch.quantile(held_out, CHANCE, interpolation="lower")
    return float((samples < limit).double().mean())
