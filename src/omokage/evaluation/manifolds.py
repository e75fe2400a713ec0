"""How far two sets of features cover each other, where each stands for the balls from its rows to their k-th nearest.

So it is told apart whether samples are real (precision, density) and whether there are all kinds of them (recall,
coverage), which a distance between the sets mixes up.
"""

import torch
from torch import Tensor

from omokage.evaluation.pairwise import distances

PRECISION_K = 3  # as Kynkäänniemi et al. 2019 choose
DENSITY_K = 5  # as Naeem et al. 2020 choose


def overlap(features: Tensor, reference: Tensor) -> dict[str, float]:
    """Return `precision`, `recall`, `density` and `coverage` of features [n, d] beside a reference [m, d].

    Precision is the share of the features within a ball of the reference, recall the share of the reference within a
    ball of the features (Kynkäänniemi et al. 2019); density the mean number of the reference's balls that a feature
    lies in, as a fraction of k, and coverage the share of these balls that a feature lies in (Naeem et al. 2020). All
    but density, which may be above 1, are in [0, 1]. They depend on n and m: compare only at equal ones. At least two
    rows each; in a set of k rows or fewer the farthest one stands for the k-th nearest.
    """
    fake, real = features.double(), reference.double()
    real_reach, fake_reach = _reach(real), _reach(fake)[:, 0]
    precise, inside = 0, 0
    recalled, covered = (torch.zeros(len(real), dtype=torch.bool) for _ in range(2))
    for rows, between in distances(fake, real):
        precise += int((between <= real_reach[:, 0]).any(1).sum())
        within = between <= real_reach[:, 1]
        inside += int(within.sum())
        covered |= within.any(0)
        recalled |= (between <= fake_reach[rows, None]).any(0)
    return {
        "precision": precise / len(fake),
        "recall": float(recalled.double().mean()),
        "density": inside / (min(DENSITY_K, len(real) - 1) * len(fake)),
        "coverage": float(covered.double().mean()),
    }


def _reach(rows: Tensor) -> Tensor:
    """Return the distance of every row to the PRECISION_K-th and to the DENSITY_K-th nearest of the others: [n, 2]."""
    ranks = [min(k, len(rows) - 1) - 1 for k in (PRECISION_K, DENSITY_K)]
    found = []
    for part, between in distances(rows, rows):
        between[torch.arange(len(between)), torch.arange(part.start, part.stop)] = torch.inf
        found.append(between.topk(max(ranks) + 1, largest=False).values[:, ranks])
    return torch.cat(found)
