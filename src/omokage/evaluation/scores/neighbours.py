"""Find the nearest real faces of each sample, in pixels and in features.

The samples of a model that has memorised its training set lie closer to the training set than to the held-out set. But
the training set is larger, so by chance alone the nearest training face is closer than the nearest held-out face. To
measure this effect, the same search is made for every held-out face, in the training set and in the rest of the
held-out set. The samples of a model that copies nothing give the same result as held-out faces.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from omokage.evaluation.scores.alignment import Alignment, align, choose_candidates
from omokage.evaluation.scores.pairwise import iterate_distances

# Added to both distances of a ratio, so that equal images do not cause a division by zero. Far below one grey level.
EPSILON = 1e-3


@dataclass(frozen=True)
class NearestNeighbours:
    """The nearest face to each of n images: its index in the set of faces, int64 [n], and its distance, float64 [n]."""

    index: Tensor
    distance: Tensor

    def at(self, row: int) -> tuple[int, float]:
        """Return the index and the distance of the nearest neighbour of image number `row`."""
        return int(self.index[row]), float(self.distance[row])


@dataclass(frozen=True)
class AlignedNeighbours(NearestNeighbours):
    """The nearest face to each of n images in pixels, and how it was aligned with the image."""

    alignment: Alignment


def find_nearest_in_features(features: Tensor, reference: Tensor, include_self: bool = True) -> NearestNeighbours:
    """Return the nearest row of the reference [m, d] to each row of the features [n, d], by Euclidean distance.

    Without `include_self`, row i is not compared with row i of the reference.
    """
    blocks = []
    for rows, distances in iterate_distances(features.double(), reference.double()):
        if not include_self:
            distances[torch.arange(rows.start, rows.stop)[:, None] == torch.arange(len(reference))] = torch.inf
        blocks.append(distances.min(1))
    return NearestNeighbours(
        torch.cat([block.indices for block in blocks]), torch.cat([block.values for block in blocks])
    )


def find_nearest_in_pixels(
    images: Tensor, faces: Tensor, device: torch.device, include_self: bool = True
) -> AlignedNeighbours:
    """Return the nearest of the faces, uint8 [m, 3, h, w], to each of the images, uint8 [n, 3, h, w], after alignment.

    The faces may be mirrored, shifted or brighter; see `alignment`, which also defines the distance. For an image that
    copies no face, the result may be the second or third nearest, since only a few candidates are aligned. Without
    `include_self`, image i is not compared with face i: use this if the images are the faces themselves.
    """
    candidates = choose_candidates(images, faces, device, include_self)
    index, alignment = align(images, faces, candidates, device)
    return AlignedNeighbours(index, alignment.distance, alignment)


def compute_distance_ratios(train: NearestNeighbours, held_out: NearestNeighbours) -> Tensor:
    """Return, for each image, the distance to the nearest training face divided by that to the nearest held-out face.

    The result is [n]. `train` and `held_out` are the neighbours of the same n images in the two sets.
    """
    return (train.distance + EPSILON) / (held_out.distance + EPSILON)
