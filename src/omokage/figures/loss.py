"""Plot the training loss, the errors of the EMA network on both splits, and the learning rate by training step."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter
from numpy.typing import NDArray

from omokage.figures.style import FAINT, INK, PALE, SPLIT_LINES, Chart, format_error_axis, open_figure

MAX_POINTS = 400  # more rows than pixels only make the file larger


def plot(
    table: pd.DataFrame, half_size: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int
) -> Chart:
    """Plot a table with the columns step, lr, loss, train and held_out.

    `loss` is the mean training loss since the previous row. `train` and `held_out` are the errors of the EMA network on
    training and held-out faces, with the same noise. Most rows lack them. The loss is also shown smoothed, unless the
    table is shorter than 20 rows. `half_size` is such a table of the steps at half the size, before these. It may be
    empty.
    """
    window = len(table) // 20
    shown = _choose_rows(len(table))
    steps, errors = table["step"].iloc[shown], table.dropna(subset=["train", "held_out"])
    with open_figure(
        figure_style, figure_palette, figure_dpi, (6.4, 5.4), rows=2, sharex=True, height_ratios=[5, 1]
    ) as canvas:
        loss, rate = canvas.panels
        raw: dict[str, Any] = {"color": PALE, "linewidth": 1} if window else {"color": FAINT}
        loss.plot(steps, table["loss"].iloc[shown], label="training loss", zorder=2, **raw)
        if window:
            steps_per_row = (table["step"].iloc[-1] - table["step"].iloc[0]) / (len(table) - 1)
            label = f"training loss, mean of {round(2 * window * steps_per_row):,} steps"
            _plot_moving_average(loss, table, color=FAINT, label=label)
        if len(half_size) > 1:
            _plot_moving_average(loss, half_size, color=INK, linestyle=":", label="before, at half the size")
        for split, name, line, number in SPLIT_LINES:
            style: dict[str, Any] = {"color": canvas.colours[number], "markersize": 5, "linewidth": 1.5}
            loss.plot(errors["step"], errors[split], line, label=f"EMA network, {name}", zorder=4, **style)
        format_error_axis(loss)
        loss.set_title("Loss during training")
        loss.legend(loc="upper right")
        rate.plot(steps, table["lr"].iloc[shown], color=INK)
        rate.set_ylim(bottom=0)
        rate.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        rate.locator_params(axis="y", nbins=2)
        rate.set_ylabel("learning\nrate")
        rate.set_xlabel("training step")
        rate.locator_params(axis="x", integer=True)
        rate.xaxis.set_major_formatter(EngFormatter(sep=""))
        canvas.figure.align_ylabels()
        return canvas.render_chart()


def _choose_rows(count: int) -> NDArray[np.int64]:
    """Return the numbers of at most MAX_POINTS of `count` rows, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(MAX_POINTS, count)).round().astype(int))


def _plot_moving_average(axes: Axes, table: pd.DataFrame, **style: Any) -> None:
    """Plot the moving average of the loss over a tenth of the table; a table shorter than 20 rows is not averaged."""
    smooth = _smooth(table["loss"].to_numpy(), len(table) // 20)
    rows = _choose_rows(len(smooth))
    axes.plot(table["step"].iloc[rows], smooth[rows], zorder=3, **style)


def _smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the centred moving average over 2 x `window` steps: the values at both ends have half a weight.

    So it is as wide as the tenth of the training whose mean the report states, and ends with that mean: there is none
    for the last `window` values. Near the start, where the loss falls steeply, the window of value i has only i // 2
    values on each side.
    """
    means = []
    for i in range(len(values) - window):
        r = min(window, i // 2)
        part = values[i - r : i + r + 1]
        means.append((part.sum() - (part[0] + part[-1]) / 2) / (2 * r) if r else values[i])
    return np.array(means)
