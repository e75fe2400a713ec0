"""Plot the Fréchet distance and KID of several samplers and kinds of EMA weights, by network evaluations (NFE)."""

from itertools import product
from typing import Any

import pandas as pd
from matplotlib.ticker import FuncFormatter

from omokage.figures.style import INK, Canvas, Chart, format_score_axis, open_figure, plot_score_point

MARKERS, DASHES, SCORES = "osD^v", ("-", "--", ":"), (("distance", "distance"), ("kid", "KID"))


def plot(
    table: pd.DataFrame,
    metrics: dict[str, Any],
    *,
    ema_kind: str,
    sampler: str,
    sample_steps: int,
    figure_style: str,
    figure_palette: str,
    figure_dpi: int,
) -> Chart:
    """Plot a table with the columns weights (kind of EMA), sampler, evaluations, distance, kid and n (samples).

    `evaluations` is the NFE per image. The chart also has the score of the run's own samples, with its interval and the
    floor, from `metrics` (results/scores.json). They were generated with `ema_kind`, `sampler` and `sample_steps`, the
    NFE. If the table is empty, these are all that the chart shows.
    """
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 5.4), rows=2, sharex=True) as canvas:
        upper, lower = canvas.panels
        _plot_study(canvas, table)
        for axes, (key, name) in zip(canvas.panels, SCORES, strict=True):
            plot_score_point(axes, sample_steps, metrics, key, INK if len(table) else canvas.colours[0])
            format_score_axis(axes, name)
        kinds = [*dict.fromkeys([ema_kind, *table["weights"].astype(str)])]
        upper.set_title(f"Samplers, {' and '.join(kinds)} weights (lower is better)")
        lower.set_xscale("log")
        lower.set_xticks(sorted({sample_steps, *table["evaluations"]}))
        lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        lower.minorticks_off()
        counts = sorted({metrics["n"], *table["n"]})
        samples = " or ".join(map(str, counts))
        lower.set_xlabel(f"network evaluations per image (NFE)\nthis run: {sampler}; {samples} samples each")
        canvas.figure.align_ylabels()
        handles, labels = upper.get_legend_handles_labels()
        canvas.figure.legend(handles, labels, loc="outside lower center", ncols=2, handlelength=3)
        return canvas.render_chart()


def _plot_study(canvas: Canvas, table: pd.DataFrame) -> None:
    """Plot the scores of the table, one line for each sampler and kind of EMA weights."""
    samplers, weights = table["sampler"].unique().tolist(), table["weights"].unique().tolist()
    for kind, sampler in product(weights, samplers):
        number, dash = samplers.index(sampler), DASHES[weights.index(kind) % len(DASHES)]
        rows = table[(table["weights"] == kind) & (table["sampler"] == sampler)].sort_values("evaluations")
        markers = {"color": canvas.colours[number], "marker": MARKERS[number % len(MARKERS)], "markersize": 6}
        label = sampler if len(weights) == 1 else f"{sampler}, {kind}"
        for axes, (key, _) in zip(canvas.panels, SCORES, strict=True):
            axes.plot(rows["evaluations"], rows[key], linestyle=dash, label=label, **markers)
