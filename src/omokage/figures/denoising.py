"""Plot the reverse process: the noisy image x_t at some timesteps, and the clean image x0 predicted from x_t."""

from functools import partial

import numpy as np
from PIL import Image

from omokage.figures.sheet import Images, Row, choose_fitting, compose_rows

# (timesteps, samples) to try, in this order, until the PNG has at most BUDGET bytes.
SIZES, BUDGET = ((9, 2), (7, 2), (9, 1), (7, 1), (5, 1)), 140_000


def plot(denoising: dict[str, Images]) -> Image.Image:
    """Plot some frames of the denoising, from noise to clean image.

    `denoising` has the arrays `t` [f], and `x_t` and `x0`, uint8 [f, k, 3, h, w], of k samples.
    """
    return choose_fitting([partial(_compose, denoising, *size) for size in SIZES], BUDGET)


def _compose(denoising: dict[str, Images], columns: int, samples: int) -> Image.Image:
    count = len(denoising["t"])
    shown = np.linspace(0, count - 1, min(columns, count)).round().astype(int)
    rows = [Row("timestep t", [str(t) for t in denoising["t"][shown].tolist()])]
    for sample in range(min(samples, denoising["x_t"].shape[1])):
        rows.append(Row("noisy", denoising["x_t"][shown, sample], gap_above=sample > 0))
        rows.append(Row("predicted", denoising["x0"][shown, sample]))
    return compose_rows("Denoising (reverse process)", rows)
