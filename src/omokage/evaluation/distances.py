"""Distances between two sets of features, in float64."""

import numpy as np
from cleanfid.fid import kernel_distance
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
    fall below zero. The subsets depend on `seed` alone: numpy's global generator, which clean-fid draws from, is put
    back as it was.
    """
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        return float(kernel_distance(reference.double().numpy(), features.double().numpy(), subsets, subset_size))
    finally:
        np.random.set_state(state)
