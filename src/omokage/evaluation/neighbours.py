"""The nearest real faces of each sample, and what they tell of copying.

A model that has learned its training faces by heart draws samples that lie nearer to those than to held-out faces. The
training faces are more, and so the nearest of them is nearer by chance alone. What is chance is therefore read off the
held-out faces themselves: to them the very same two sets are searched (itself left out), and a sample of a model that
copies nothing is to these sets what one more held-out face would be.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from omokage.evaluation.pairwise import distances

# Share of the held-out faces that count as copies, since chance alone brings some as near to a training face.
CHANCE = 0.01
# Added to both distances of a ratio, so that a face in both sets has one; far below a grey level.
TINY = 1e-3
AT_ONCE = 4096


@dataclass(frozen=True)
class Nearest:
    """Of n rows, the number of the nearest one, int64 [n], and its distance, float64 [n]."""

    number: Tensor
    distance: Tensor

    def at(self, row: int) -> tuple[int, float]:
        """Return the nearest one of one row, and its distance."""
        return int(self.number[row]), float(self.distance[row])


def in_features(features: Tensor, others: Tensor) -> Nearest:
    """Return the nearest of the others [m, d] to each of the features [n, d], by Euclidean distance."""
    nearest = [between.min(1) for _, between in distances(features.double(), others.double())]
    return Nearest(torch.cat([found.indices for found in nearest]), torch.cat([found.values for found in nearest]))


def in_pixels(pictures: Tensor, faces: Tensor, device: torch.device, mirrored: bool, itself: bool = True) -> Nearest:
    """Return the nearest of the faces, uint8 [m, 3, h, w], to each of the pictures, uint8 [n, 3, h, w].

    By root mean square difference, of 255. If `mirrored`, a face is as near as it or its mirror image is, since a model
    trained on both may draw either. Without `itself`, picture i is not compared with face i.
    """
    best = Nearest(torch.zeros(len(pictures), dtype=torch.int64), torch.full((len(pictures),), torch.inf).double())
    flat = _flat(pictures, device)
    for first in range(0, len(faces), AT_ONCE):
        some = faces[first : first + AT_ONCE]
        for shown in (some, some.flip(3)) if mirrored else (some,):
            for rows, between in distances(flat, _flat(shown, device)):
                if not itself:
                    between[torch.arange(rows.start, rows.stop)[:, None] == torch.arange(len(some)) + first] = torch.inf
                nearest = between.min(1)
                number = nearest.indices.cpu()
                # Which is nearest needs no last bit; how near is computed anew, exactly.
                apart = (pictures[rows].double() - shown[number].double()).square().mean((1, 2, 3)).sqrt()
                closer = (apart < best.distance[rows]) & nearest.values.cpu().isfinite()
                best.distance[rows] = torch.where(closer, apart, best.distance[rows])
                best.number[rows] = torch.where(closer, number + first, best.number[rows])
    return best


def _flat(faces: Tensor, device: torch.device) -> Tensor:
    return faces.flatten(1).to(device, torch.float32) - 128


def ratios(train: Nearest, held_out: Nearest) -> Tensor:
    """Return how far the nearest training face is, as a fraction of how far the nearest held-out one is: [n]."""
    return (train.distance + TINY) / (held_out.distance + TINY)


def copied(samples: Tensor, held_out: Tensor) -> float:
    """Return the share of copies among samples, given their `ratios` [n] and those of held-out faces [m].

    A sample counts as one if its ratio is lower than that of all but a share of CHANCE of the held-out faces. So of a
    model that copies nothing about that share is counted (with fewer than 1 / CHANCE held-out faces, 1 / (m + 1)).
    """
    limit = torch.quantile(held_out, CHANCE, interpolation="lower")
    return float((samples < limit).double().mean())
