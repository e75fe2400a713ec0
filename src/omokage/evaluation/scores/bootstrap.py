"""Compute bootstrap confidence intervals of the Fréchet distance and of KID (Efron 1979).

The samples are resampled with replacement, and the reference is kept. A resample has only 63 % of the distinct
samples, and the Fréchet distance of fewer samples is larger, so the scores of resamples are too high. Therefore only
the spread of these scores is used: they are shifted so that their mean is the estimate. The interval is for the score
of n samples, including the bias at that n. It is not an interval of the distance for infinitely many samples.
"""

import math

import torch
from torch import Tensor

from omokage.compute.seeding import make_generator
from omokage.evaluation.scores.distances import cubic_kernel

LEVEL = 0.95
BLOCK_ROWS = 1024


def draw_resamples(n: int, resamples: int, seed: int) -> Tensor:
    """Return how often each of n rows occurs in each resample of size n, float64 [resamples, n]."""
    indices = [torch.randint(n, (n,), generator=make_generator(seed, "bootstrap", i)) for i in range(resamples)]
    return torch.stack([torch.bincount(rows, minlength=n) for rows in indices]).double()


def compute_interval(estimate: float, scores: Tensor, minimum: float = -math.inf) -> tuple[float, float]:
    """Return the lower and the upper bound of the confidence interval of an estimate, at the confidence LEVEL.

    `scores` [resamples] are the scores of the resamples. They are shifted so that the mean is the estimate. The
    bounds are quantiles of the shifted scores, but at least `minimum`, the lowest value that the score can have. NaN
    scores are ignored. If all are NaN, both bounds are the estimate.
    """
    valid = scores[~scores.isnan()]
    if not len(valid):
        return estimate, estimate
    quantiles = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
    low, high = (estimate + torch.quantile(valid - valid.mean(), quantiles)).tolist()
    return max(low, minimum), max(high, minimum)


def bootstrap_frechet(features: Tensor, reference: Tensor, counts: Tensor) -> Tensor:
    """Return the Fréchet distance of each resample of the features [n, d] to the reference [m, d]: [resamples].

    `counts` [resamples, n], from draw_resamples, say how often each row occurs in a resample. The formula is that of
    distances.compute_frechet. The nuclear norm of a matrix M is computed as the sum of the square roots of the
    eigenvalues of the smaller one of M M' and M' M.
    """
    x, y = features.double(), reference.double()
    y_mean, x_mean = y.mean(0), x.mean(0)
    x, y = x - x_mean, (y - y_mean) / (len(y) - 1) ** 0.5
    factor = torch.linalg.qr(y, mode="r").R if len(y) > y.shape[1] else y
    projected, squared_norms, n = x @ factor.T, (x**2).sum(1), len(x)

    def score(count: Tensor) -> Tensor:
        rows = count.nonzero()[:, 0]
        weights = count[rows]
        shift = weights @ x[rows] / n
        scaled = (projected[rows] - factor @ shift) * (weights / (n - 1)).sqrt()[:, None]
        gram = scaled @ scaled.T if len(scaled) < scaled.shape[1] else scaled.T @ scaled
        nuclear_norm = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().sum()
        variance = (weights @ squared_norms[rows] - n * shift @ shift) / (n - 1)
        return ((x_mean + shift - y_mean) ** 2).sum() + variance + (y**2).sum() - 2 * nuclear_norm

    return torch.stack([score(count) for count in counts])


def bootstrap_kid(features: Tensor, reference: Tensor, counts: Tensor) -> Tensor:
    """Return the KID of each resample of the features [n, d] to the reference [m, d], minus a constant: [resamples].

    `counts` [resamples, n], from draw_resamples, say how often each row occurs in a resample. The constant is the mean
    kernel within the reference, which is the same for all resamples. All rows are used, while distances.compute_kid
    averages over subsets. Pairs of a row with a repetition of the same row are left out, because they would bias the
    estimate. The score is NaN for a resample that only repeats one row, because no other pairs exist.
    """
    x, y = features.double(), reference.double()
    within = torch.zeros(len(counts), dtype=torch.float64)
    across, own = (torch.zeros(len(x), dtype=torch.float64) for _ in range(2))
    for start in range(0, len(x), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        kernel = cubic_kernel(x[rows], x)
        own[rows] = kernel[:, start : start + len(kernel)].diagonal()
        within += ((counts[:, rows] @ kernel) * counts).sum(1)
        across[rows] = cubic_kernel(x[rows], y).mean(1)
    n, squared_counts = len(x), counts**2
    pairs = n**2 - squared_counts.sum(1)
    return torch.where(pairs > 0, (within - squared_counts @ own) / pairs, torch.nan) - 2 / n * counts @ across
