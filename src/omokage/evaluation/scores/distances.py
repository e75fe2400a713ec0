"""Compute the Fréchet distance and KID between two sets of features, in float64."""

import numpy as np
from torch import Tensor


def name_distance(extractor: str) -> str:
    """Return the name of the Fréchet distance for an extractor. Only Inception features give a distance named FID."""
    return "FID" if extractor == "inception" else f"Fréchet distance ({extractor})"


def compute_frechet(features: Tensor, reference: Tensor) -> float:
    """Return the squared Fréchet distance of Gaussians fitted to features [n, d], [m, d] (Heusel et al. 2017, eq. 6).

    Each set needs at least two rows. The distance is biased upwards for small n, so compare only distances with equal n
    and m.

    With covariances x'x and y'y, the trace of the square root of x'x y'y is the nuclear norm of xy'. The result equals
    clean-fid's, which takes the square root of a d x d matrix. The nuclear norm is a hundred times faster, and also
    works for singular covariances.
    """
    means, factors = [], []
    for rows in (features.double().numpy(), reference.double().numpy()):
        means.append(rows.mean(0))
        factor = (rows - means[-1]) / (len(rows) - 1) ** 0.5
        factors.append(np.asarray(np.linalg.qr(factor, mode="r")) if len(factor) > factor.shape[1] else factor)
    x, y = factors
    traces = float((x**2).sum() + (y**2).sum() - 2 * np.linalg.norm(x @ y.T, "nuc"))
    return max(0.0, float(((means[0] - means[1]) ** 2).sum()) + traces)  # rounding can give a sum just below zero


def compute_kid(features: Tensor, reference: Tensor, subsets: int, subset_size: int, seed: int) -> float:
    """Return the kernel inception distance, KID (Binkowski et al. 2018), of features [n, d] and [m, d].

    Each set needs at least two rows. KID is the mean over `subsets` random subsets of min(subset_size, n, m) rows. It
    is unbiased, so it can be negative. With the same seed, clean-fid chooses the same subsets and gives the same value.
    """
    size, random = min(subset_size, len(features), len(reference)), np.random.RandomState(seed)
    total = 0.0
    for _ in range(subsets):
        x, y = (rows.double()[random.choice(len(rows), size, replace=False)] for rows in (features, reference))
        within = cubic_kernel(x, x) + cubic_kernel(y, y)
        total += float((within.sum() - within.trace()) / (size - 1) - 2 * cubic_kernel(x, y).sum() / size)
    return total / subsets / size


def cubic_kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return the cubic kernel (x y' / d + 1)^3 of Binkowski et al. 2018 between rows [n, d] and [m, d]: [n, m]."""
    return (x @ y.T / x.shape[1] + 1) ** 3
