"""Plot the Fréchet distance and KID of several samplers and kinds of EMA weights, by network evaluations (NFE)."""

from itertools import product

import pandas as pd
from matplotlib.ticker import FuncFormatter, NullFormatter

from omokage.figures.style import Chart, open_figure, plot_message

MARKERS, DASHES = "osD^v", ("-", "--", ":")


def plot(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Plot a table with the columns weights (kind of EMA), sampler, evaluations, distance, kid and n (samples).

    `evaluations` is the NFE per image. If the table is empty, the chart is a text that gives the reason.
    """
    if table.empty:
        return plot_message("Not computed: sampler_study is empty.", figure_style, figure_palette, figure_dpi)
    samplers, weights = table["sampler"].unique().tolist(), table["weights"].unique().tolist()
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 5.4), rows=2, sharex=True) as canvas:
        for kind, sampler in product(weights, samplers):
            number, dash = samplers.index(sampler), DASHES[weights.index(kind) % len(DASHES)]
            rows = table[(table["weights"] == kind) & (table["sampler"] == sampler)].sort_values("evaluations")
            markers = {"color": canvas.colours[number], "marker": MARKERS[number % len(MARKERS)], "markersize": 6}
            label = sampler if len(weights) == 1 else f"{sampler}, {kind}"
            for axes, key in zip(canvas.panels, ("distance", "kid"), strict=True):
                axes.plot(rows["evaluations"], rows[key], linestyle=dash, label=label, **markers)
        upper, lower = canvas.panels
        upper.set_title(f"Samplers, {' and '.join(map(str, weights))} weights (lower is better)")
        upper.set_ylabel("distance")
        upper.locator_params(axis="y", nbins=5)
        lower.set_ylabel("KID")
        lower.set_xscale("log")
        lower.set_xticks(sorted(table["evaluations"].unique()))
        lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        lower.xaxis.set_minor_formatter(NullFormatter())
        lower.set_xlabel(f"network evaluations per image (NFE)\n{table['n'].min()} samples each")
        canvas.figure.align_ylabels()
        handles, labels = upper.get_legend_handles_labels()
        canvas.figure.legend(handles, labels, loc="outside lower center", ncols=max(2, len(weights)), handlelength=3)
        return canvas.render_chart()
