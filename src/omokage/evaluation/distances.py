"""Distances between two sets of features, in float64."""

import numpy as np
from torch import Tensor


def name(extractor: str) -> str:
    """Return what the Fréchet distance in this extractor's features may be called: FID only with Inception's."""
    return "FID" if extractor == "inception" else f"Fréchet distance ({extractor})"


def frechet(features: Tensor, reference: Tensor) -> float:
    """Return the squared Fréchet distance of Gaussians fitted to features [n, d], [m, d] (Heusel et al. 2017, eq. 6).

    At least two rows each. It is biased upwards for small n: compare only at equal n and m.

    For covariances x'x and y'y the trace of the square root of their product is the nuclear norm of xy': the number
    that clean-fid takes from a d x d square root, a hundred times sooner, and sound for singular covariances too.
    """
    means, factors = [], []
    for rows in (features.double().numpy(), reference.double().numpy()):
        means.append(rows.mean(0))
        factor = (rows - means[-1]) / (len(rows) - 1) ** 0.5
        factors.append(np.asarray(np.linalg.qr(factor, mode="r")) if len(factor) > factor.shape[1] else factor)
    x, y = factors
    traces = float((x**2).sum() + (y**2).sum() - 2 * np.linalg.norm(x @ y.T, "nuc"))
    return float(((means[0] - means[1]) ** 2).sum()) + traces


def kid(features: Tensor, reference: Tensor, subsets: int, subset_size: int, seed: int) -> float:
    """Return the kernel inception distance (Binkowski et al. 2018) of features [n, d] and [m, d].

    At least two rows each. The mean over `subsets` random subsets of min(subset_size, n, m) rows; unbiased, so it can
    fall below zero. Of one seed the subsets, and so the number, are clean-fid's (which takes four seconds to import).
    """
    size, drawn = min(subset_size, len(features), len(reference)), np.random.RandomState(seed)
    total = 0.0
    for _ in range(subsets):
        x, y = (rows.double()[drawn.choice(len(rows), size, replace=False)] for rows in (features, reference))
        within = kernel(x, x) + kernel(y, y)
        total += float((within.sum() - within.trace()) / (size - 1) - 2 * kernel(x, y).sum() / size)
    return total / subsets / size


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return the cubic kernel of Binkowski et al. 2018 between rows [n, d] and [m, d]: [n, m]."""
    return (x @ y.T / x.shape[1] + 1) ** 3
