"""Distances between two sets of features, computed by clean-fid in float64."""

import warnings

import numpy as np
from cleanfid.fid import frechet_distance, kernel_distance
from torch import Tensor


def name(extractor: str) -> str:
    """Return what the Fréchet distance in this extractor's features may be called: FID only with Inception's."""
    return "FID" if extractor == "inception" else f"Fréchet distance ({extractor})"


def frechet(features: Tensor, reference: Tensor) -> float:
    """Return the squared Fréchet distance of Gaussians fitted to features [n, d], [m, d] (Heusel et al. 2017, eq. 6).

    At least two rows each. It is biased upwards for small n: compare only at equal n and m.
    """
    both = np.concatenate([features.double().numpy(), reference.double().numpy()])
    # The distance depends on the span of the rows alone; within it, the d x d square root is as small as it can be.
    within = both @ np.linalg.qr(both.T).Q if len(both) < both.shape[1] else both
    drawn, real = within[: len(features)], within[len(features) :]
    with warnings.catch_warnings():
        # scipy warns of singular covariances, as those of fewer pictures than features always are.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(
            frechet_distance(drawn.mean(0), np.cov(drawn, rowvar=False), real.mean(0), np.cov(real, rowvar=False))
        )


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
