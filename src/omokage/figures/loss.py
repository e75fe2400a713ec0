"""The training loss over the steps, as logged and smoothed, above the learning rate."""

import numpy as np
import pandas as pd
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray
from PIL import Image

from omokage.figures.style import FAINT, plot


def draw(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Image.Image:
    """Draw a table of step, lr and loss, where a row's loss is the mean over the steps since the row before."""
    window = max(1, len(table) // 20)
    smooth, words = _smoothed(table["loss"].to_numpy(), window), f"mean of {2 * window + 1} rows, fewer at the ends"
    with plot(
        figure_style, figure_palette, figure_dpi, (6.4, 4.6), rows=2, sharex=True, height_ratios=[4, 1]
    ) as drawing:
        loss, rate = drawing.panels
        loss.plot(table["step"], table["loss"], ".", color=FAINT, markersize=5, alpha=0.6, label="as logged", zorder=2)
        loss.plot(table["step"], smooth, color=drawing.colours[0], label=words, zorder=3)
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        loss.yaxis.set_minor_formatter(NullFormatter())
        loss.set_ylabel("squared error")
        loss.set_title("Training loss")
        loss.legend(loc="upper right")
        rate.plot(table["step"], table["lr"], color=drawing.colours[1])
        rate.set_ylim(bottom=0)
        rate.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        rate.locator_params(axis="y", nbins=2)
        rate.set_ylabel("lr")
        rate.set_xlabel("step")
        rate.xaxis.set_major_formatter(EngFormatter(sep=""))
        drawing.figure.align_ylabels()
        return drawing.image()


def _smoothed(values: NDArray[np.float64], window: int) -> list[float]:
    """Return means over `window` values on either side, or as many as there are on both: the ends lean to no side."""
    reach = [min(window, i, len(values) - 1 - i) for i in range(len(values))]
    return [float(values[i - r : i + r + 1].mean()) for i, r in enumerate(reach)]
