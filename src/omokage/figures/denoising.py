"""Plot the reverse process: the noisy image x_t in some frames, and the clean image x0 predicted from x_t."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.figures.sheet import Row, choose_fitting, compose_rows, format_log_snr

# (frames, samples) to try, in this order, until the PNG has at most BUDGET bytes.
SIZES, BUDGET = ((11, 2), (9, 2), (7, 2), (9, 1), (7, 1), (5, 1), (3, 1)), 140_000


def plot(denoising: dict[str, NDArray[Any]]) -> Image.Image:
    """Plot some frames of the denoising, from pure noise to the clean image.

    `denoising` has the arrays of sampling/frames.stack_frames: `t` and `log_snr` [f], and `x_t` and `x0`, uint8
    [f, k, 3, h, w], of k samples.
    """
    return choose_fitting([partial(_compose, denoising, *size) for size in SIZES], BUDGET)


def _compose(denoising: dict[str, NDArray[Any]], columns: int, samples: int) -> Image.Image:
    count = len(denoising["t"])
    shown = np.linspace(0, count - 1, min(columns, count)).round().astype(int)
    *timesteps, _ = denoising["t"][shown].tolist()
    rows = [
        Row("timestep t", [*map(str, timesteps), "clean"]),
        Row("log-SNR", [format_log_snr(value) for value in denoising["log_snr"][shown].tolist()]),
    ]
    for sample in range(min(samples, denoising["x_t"].shape[1])):
        rows.append(Row("noisy", denoising["x_t"][shown, sample], gap_above=sample > 0))
        rows.append(Row("predicted", denoising["x0"][shown, sample]))
    return compose_rows("Denoising (reverse process)", rows)
