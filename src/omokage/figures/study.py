"""Samplers and weights against each other: the score by how many evaluations of the network a picture takes."""

from itertools import product

import pandas as pd
from matplotlib.ticker import FuncFormatter, NullFormatter

from omokage.figures.style import Chart, plot, words

MARKERS, DASHES = "osD^v", ("-", "--", ":")


def draw(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Draw a table of weights, sampler, evaluations, distance, kid and n (pictures scored), which may be empty."""
    if table.empty:
        return words("A study of samplers was not asked for.", figure_style, figure_palette, figure_dpi)
    samplers, weights = table["sampler"].unique().tolist(), table["weights"].unique().tolist()
    with plot(figure_style, figure_palette, figure_dpi, (6.4, 5.4), rows=2, sharex=True) as drawing:
        for one, sampler in product(weights, samplers):
            number, dash = samplers.index(sampler), DASHES[weights.index(one) % len(DASHES)]
            rows = table[(table["weights"] == one) & (table["sampler"] == sampler)].sort_values("evaluations")
            look = {"color": drawing.colours[number], "marker": MARKERS[number % len(MARKERS)], "markersize": 6}
            label = sampler if len(weights) == 1 else f"{sampler}, {one}"
            for axes, key in zip(drawing.panels, ("distance", "kid"), strict=True):
                axes.plot(rows["evaluations"], rows[key], linestyle=dash, label=label, **look)
        above, below = drawing.panels
        above.set_title(f"Samplers, {' and '.join(map(str, weights))} weights (lower is better)")
        above.set_ylabel("distance")
        above.locator_params(axis="y", nbins=5)
        below.set_ylabel("KID")
        below.set_xscale("log")
        below.set_xticks(sorted(table["evaluations"].unique()))
        below.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        below.xaxis.set_minor_formatter(NullFormatter())
        below.set_xlabel(f"evaluations of the network a picture\n{table['n'].min()} pictures each")
        drawing.figure.align_ylabels()
        handles, labels = above.get_legend_handles_labels()
        drawing.figure.legend(handles, labels, loc="outside lower center", ncols=max(2, len(weights)), handlelength=3)
        return drawing.chart()
