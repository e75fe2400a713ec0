"""Plot the Fréchet distance and KID of samples from several steps of the training."""

from typing import Any

import pandas as pd
from matplotlib.ticker import EngFormatter

from omokage.figures.style import Chart, format_score_axis, open_figure, plot_score_point

SCORES = (("distance", "distance"), ("kid", "KID"))


def plot(
    table: pd.DataFrame,
    losses: pd.DataFrame,
    metrics: dict[str, Any],
    *,
    figure_style: str,
    figure_palette: str,
    figure_dpi: int,
) -> Chart:
    """Plot a table with the columns step, distance, kid and n (number of samples).

    If the table is empty, plot the score of the run's samples at the last step of the loss table `losses`, with its
    interval and the floor, both from `metrics` (results/scores.json).
    """
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 4.6), rows=2, sharex=True) as canvas:
        upper, lower = canvas.panels
        for axes, (key, name), colour in zip(canvas.panels, SCORES, canvas.colours, strict=False):
            if table.empty:
                plot_score_point(axes, int(losses["step"].iloc[-1]), metrics, key, colour)
                axes.set_xlim(0, 1.05 * losses["step"].iloc[-1])
            else:
                axes.plot(table["step"], table[key], marker="o", markersize=6, color=colour)
            format_score_axis(axes, name)
        if table.empty:
            upper.set_title("Score at the end of training (lower is better)")
            canvas.figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center", ncols=2)
            note = f"{metrics['n']} samples"
        else:
            upper.set_title("Score during training (lower is better)")
            # Few samples bias the distance upwards, so it is not comparable with the final score.
            note = f"{_format_range(table['n'])} samples each: compare only within this plot"
        lower.set_xlabel(f"training step\n{note}")
        lower.locator_params(axis="x", integer=True)
        lower.xaxis.set_major_formatter(EngFormatter(sep=""))
        canvas.figure.align_ylabels()
        return canvas.render_chart()


def _format_range(counts: pd.Series) -> str:
    least, most = counts.min(), counts.max()
    return f"{least}" if least == most else f"{least} to {most}"
