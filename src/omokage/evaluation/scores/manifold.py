"""Compute precision, recall, density and coverage, which measure how far two sets of features overlap.

A set is represented by one ball around each row. The radius of a ball is the distance from the row to the k-th nearest
other row of the set. Precision and density measure whether samples look real. Recall and coverage measure whether all
kinds of real faces occur among the samples. The Fréchet distance does not separate the two.
"""

import torch
from torch import Tensor

from omokage.evaluation.scores.pairwise import iterate_distances

PRECISION_K = 3  # as in Kynkäänniemi et al. 2019
DENSITY_K = 5  # as in Naeem et al. 2020


def compute_overlap(features: Tensor, reference: Tensor) -> dict[str, float]:
    """Return `precision`, `recall`, `density` and `coverage` of features [n, d] compared with a reference [m, d].

    precision: share of the features that lie in a ball of the reference (Kynkäänniemi et al. 2019).
    recall: share of the reference that lies in a ball of the features (Kynkäänniemi et al. 2019).
    density: mean number of reference balls that a feature lies in, divided by k (Naeem et al. 2020).
    coverage: share of the reference balls that contain a feature (Naeem et al. 2020).

    All are in [0, 1], except density, which may exceed 1. They depend on n and m, so compare only scores with equal n
    and m. Each set needs at least two rows. In a set of at most k rows, the farthest neighbour replaces the k-th.
    """
    fake, real = features.double(), reference.double()
    real_radii, fake_radii = _compute_radii(real), _compute_radii(fake)[:, 0]
    precise, inside = 0, 0
    recalled, covered = (torch.zeros(len(real), dtype=torch.bool) for _ in range(2))
    for rows, distances in iterate_distances(fake, real):
        precise += int((distances <= real_radii[:, 0]).any(1).sum())
        within = distances <= real_radii[:, 1]
        inside += int(within.sum())
        covered |= within.any(0)
        recalled |= (distances <= fake_radii[rows, None]).any(0)
    return {
        "precision": precise / len(fake),
        "recall": float(recalled.double().mean()),
        "density": inside / (min(DENSITY_K, len(real) - 1) * len(fake)),
        "coverage": float(covered.double().mean()),
    }


def _compute_radii(x: Tensor) -> Tensor:
    """Return the distances of each row to its PRECISION_K-th and DENSITY_K-th nearest neighbour: [n, 2]."""
    ranks = [min(k, len(x) - 1) - 1 for k in (PRECISION_K, DENSITY_K)]
    radii = []
    for rows, distances in iterate_distances(x, x):
        distances[torch.arange(len(distances)), torch.arange(rows.start, rows.stop)] = torch.inf
        radii.append(distances.topk(max(ranks) + 1, largest=False).values[:, ranks])
    return torch.cat(radii)
