"""Plot the reverse process: the noisy image x_t in some frames, and the clean image x0 predicted from x_t."""

from collections.abc import Sequence
from functools import partial
from typing import Any

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


def choose_frames(log_snr: Sequence[float], count: int) -> list[int]:
    """Return the numbers of at most `count` frames, at least two: the first, the last, and others between them.

    `log_snr` are the log-SNRs of the frames in ascending order, which for all but the first and the last are finite. As
    long as there are too many frames, the one whose neighbours are closest to each other in log-SNR is left out.
    """
    levels = [*log_snr]
    if len(levels) > 2:  # the first and the last may be infinite
        levels[0], levels[-1] = levels[1], levels[-2]
    chosen = [*range(len(levels))]
    while len(chosen) > count:
        gaps = [levels[after] - levels[before] for before, after in zip(chosen, chosen[2:], strict=False)]
        del chosen[gaps.index(min(gaps)) + 1]
    return chosen


def _compose(denoising: dict[str, NDArray[Any]], columns: int, samples: int) -> Image.Image:
    shown = choose_frames(denoising["log_snr"].tolist(), columns)
    *timesteps, _ = denoising["t"][shown].tolist()
    rows = [
        Row("timestep t", [*map(str, timesteps), "clean"]),
        Row("log-SNR", [format_log_snr(value) for value in denoising["log_snr"][shown].tolist()]),
    ]
    for sample in range(min(samples, denoising["x_t"].shape[1])):
        rows.append(Row("noisy", denoising["x_t"][shown, sample], gap_above=sample > 0))
        rows.append(Row("predicted", denoising["x0"][shown, sample]))
    return compose_rows("Denoising (reverse process)", rows)
