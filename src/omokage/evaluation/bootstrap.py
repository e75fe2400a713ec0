"""Intervals of the distances: what other samples of the same model, as many, would have scored (Efron 1979).

Samples are drawn again with replacement, the reference stays. Taken as it is, such a bootstrap lies too high: a
resample has only 63 % of the samples in it, and the Fréchet distance of fewer is larger. So the resamples tell the
spread alone: their distribution is moved to have the estimate as its mean. The interval is thus of the distance at this
n, bias and all, as the floor beside it is; it is not of the distance that infinitely many samples would have.
"""

import torch
from torch import Tensor

from omokage.diffusion.random import generator
from omokage.evaluation.distances import kernel

LEVEL = 0.95
ROWS = 1024


def resampled(n: int, resamples: int, seed: int) -> Tensor:
    """Return how often each of n rows is in each resample of n, float64 [resamples, n]: of the seed."""
    drawn = [torch.randint(n, (n,), generator=generator(seed, "bootstrap", i)) for i in range(resamples)]
    return torch.stack([torch.bincount(rows, minlength=n) for rows in drawn]).double()


def interval(estimate: float, scores: Tensor) -> tuple[float, float]:
    """Return the bounds that hold LEVEL of the scores [resamples], moved to have the estimate as their mean.

    Scores that are NaN are left out; without any other the estimate bounds itself.
    """
    found = scores[~scores.isnan()]
    if not len(found):
        return estimate, estimate
    around = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
    low, high = (estimate + torch.quantile(found - found.mean(), around)).tolist()
    return low, high


def frechet(features: Tensor, reference: Tensor, counts: Tensor) -> Tensor:
    """Return the Fréchet distance of every resample of features [n, d] to the reference [m, d]: [resamples].

    As `distances.frechet`, with the nuclear norm taken from the eigenvalues of the smaller square.
    """
    x, y = features.double(), reference.double()
    y_mean, x_mean = y.mean(0), x.mean(0)
    x, y = x - x_mean, (y - y_mean) / (len(y) - 1) ** 0.5
    factor = torch.linalg.qr(y, mode="r").R if len(y) > y.shape[1] else y
    onto, squares, n = x @ factor.T, (x**2).sum(1), len(x)

    def one(weight: Tensor) -> Tensor:
        kept = weight.nonzero()[:, 0]
        w = weight[kept]
        shift = w @ x[kept] / n
        rows = (onto[kept] - factor @ shift) * (w / (n - 1)).sqrt()[:, None]
        square = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
        root = torch.linalg.eigvalsh(square).clamp(min=0).sqrt().sum()
        spread = (w @ squares[kept] - n * shift @ shift) / (n - 1)
        return ((x_mean + shift - y_mean) ** 2).sum() + spread + (y**2).sum() - 2 * root

    return torch.stack([one(weight) for weight in counts])


def kid(features: Tensor, reference: Tensor, counts: Tensor) -> Tensor:
    """Return the kernel inception distance of every resample of features [n, d] to the reference [m, d]: [resamples].

    Over all rows at once, where `distances.kid` takes subsets. The part of it that lies in the reference alone is left
    out, as it shifts all alike. A sample is never compared with itself, however often it is drawn: that would not be
    unbiased; a resample of one row over and over has none other, and its distance is NaN.
    """
    x, y = features.double(), reference.double()
    within = torch.zeros(len(counts), dtype=torch.float64)
    across, itself = (torch.zeros(len(x), dtype=torch.float64) for _ in range(2))
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        alike = kernel(x[rows], x)
        itself[rows] = alike[:, start : start + len(alike)].diagonal()
        within += ((counts[:, rows] @ alike) * counts).sum(1)
        across[rows] = kernel(x[rows], y).mean(1)
    n, again = len(x), counts**2
    pairs = n**2 - again.sum(1)
    return torch.where(pairs > 0, (within - again @ itself) / pairs, torch.nan) - 2 / n * counts @ across
