"""The score of the samples over the training."""

import pandas as pd
from matplotlib.ticker import EngFormatter

from omokage.figures.style import Chart, plot, words


def draw(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Draw a table of step, pictures (seen until then), distance, kid and n (pictures scored), which may be empty."""
    if table.empty:
        return words("The score over the training was not asked for.", figure_style, figure_palette, figure_dpi)
    with plot(figure_style, figure_palette, figure_dpi, (6.4, 4.6), rows=2, sharex=True) as drawing:
        for axes, key, name, colour in zip(
            drawing.panels, ("distance", "kid"), ("distance", "KID"), drawing.colours, strict=False
        ):
            axes.plot(table["step"], table[key], marker="o", markersize=6, color=colour)
            axes.set_ylabel(name)
            axes.set_ylim(bottom=min(0.0, 1.1 * table[key].min()))
            axes.locator_params(axis="y", nbins=5)
        drawing.panels[0].set_title("Score over the training (lower is better)")
        # A distance grows as n shrinks.
        drawing.panels[1].set_xlabel(f"step\n{_span(table['n'])} pictures each: compare only with one another")
        drawing.panels[1].xaxis.set_major_formatter(EngFormatter(sep=""))
        drawing.figure.align_ylabels()
        return drawing.chart()


def _span(counts: pd.Series) -> str:
    least, most = counts.min(), counts.max()
    return f"{least}" if least == most else f"{least} to {most}"
