"""The training loss over the steps, as logged and smoothed, beside that of held-out faces, above the learning rate."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import EngFormatter, FuncFormatter
from numpy.typing import NDArray

from omokage.figures.style import FAINT, INK, Chart, plot, squared_errors

# More rows than pixels only make a file large.
MOST = 400


def draw(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Draw a table of step, lr, loss and held_out.

    A row's loss is the mean over the steps since the row before. Some rows have the error on held-out faces as well.
    """
    window = max(1, len(table) // 20)
    smooth = _smoothed(table["loss"].to_numpy(), window)
    shown = np.unique(np.linspace(0, len(table) - 1, min(MOST, len(table))).round().astype(int))
    steps, held_out = table["step"].iloc[shown], table.dropna(subset="held_out")
    with plot(
        figure_style, figure_palette, figure_dpi, (6.4, 4.6), rows=2, sharex=True, height_ratios=[4, 1]
    ) as drawing:
        loss, rate = drawing.panels
        loss.plot(steps, table["loss"].iloc[shown], color=FAINT, linewidth=1, label="as logged", zorder=2)
        words = f"smoothed (mean of {2 * window + 1} rows, fewer at the ends)"
        loss.plot(steps, smooth[shown], color=drawing.colours[0], label=words, zorder=3)
        dots: dict[str, Any] = {"color": drawing.colours[1], "marker": "o", "markersize": 5, "linewidth": 1.2}
        loss.plot(held_out["step"], held_out["held_out"], label="held-out faces", zorder=4, **dots)
        squared_errors(loss)
        loss.set_title("Loss")
        loss.legend(loc="upper right")
        rate.plot(steps, table["lr"].iloc[shown], color=INK)
        rate.set_ylim(bottom=0)
        rate.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        rate.locator_params(axis="y", nbins=2)
        rate.set_ylabel("lr")
        rate.set_xlabel("step")
        rate.xaxis.set_major_formatter(EngFormatter(sep=""))
        drawing.figure.align_ylabels()
        return drawing.chart()


def _smoothed(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return means over `window` values on either side, or as many as there are on both: the ends lean to no side.

    At the start, where the loss falls steeply, it is over fewer: half as many as have gone before.
    """
    reach = [min(window, i // 2, len(values) - 1 - i) for i in range(len(values))]
    return np.array([values[i - r : i + r + 1].mean() for i, r in enumerate(reach)])
