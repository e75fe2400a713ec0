"""Plot the training loss (raw and smoothed), the held-out loss and the learning rate by training step."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import EngFormatter, FuncFormatter
from numpy.typing import NDArray

from omokage.figures.style import FAINT, INK, Chart, format_error_axis, open_figure

MAX_POINTS = 400  # more rows than pixels only make the file larger


def plot(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Plot a table with the columns step, lr, loss and held_out.

    `loss` is the mean training loss since the previous row. `held_out`, the error on held-out
    faces, is missing in most rows.
    """
    window = max(1, len(table) // 20)
    smooth = _smooth(table["loss"].to_numpy(), window)
    shown = np.unique(np.linspace(0, len(table) - 1, min(MAX_POINTS, len(table))).round().astype(int))
    steps, held_out = table["step"].iloc[shown], table.dropna(subset="held_out")
    with open_figure(
        figure_style, figure_palette, figure_dpi, (6.4, 4.6), rows=2, sharex=True, height_ratios=[4, 1]
    ) as canvas:
        loss, rate = canvas.panels
        loss.plot(steps, table["loss"].iloc[shown], color=FAINT, linewidth=1, label="training loss", zorder=2)
        label = f"smoothed (mean of {2 * window + 1} rows, fewer at the ends)"
        loss.plot(steps, smooth[shown], color=canvas.colours[0], label=label, zorder=3)
        markers: dict[str, Any] = {"color": canvas.colours[1], "marker": "o", "markersize": 5, "linewidth": 1.2}
        loss.plot(held_out["step"], held_out["held_out"], label="held-out loss", zorder=4, **markers)
        format_error_axis(loss)
        loss.set_title("Training and held-out loss")
        loss.legend(loc="upper right")
        rate.plot(steps, table["lr"].iloc[shown], color=INK)
        rate.set_ylim(bottom=0)
        rate.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        rate.locator_params(axis="y", nbins=2)
        rate.set_ylabel("lr")
        rate.set_xlabel("step")
        rate.xaxis.set_major_formatter(EngFormatter(sep=""))
        canvas.figure.align_ylabels()
        return canvas.render_chart()


def _smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the centred moving average over `window` values on each side.

    Near the end, the window is smaller but still symmetric. Near the start, where the loss falls steeply, the window of
    value i has only i // 2 values on each side.
    """
    reach = [min(window, i // 2, len(values) - 1 - i) for i in range(len(values))]
    return np.array([values[i - r : i + r + 1].mean() for i, r in enumerate(reach)])
