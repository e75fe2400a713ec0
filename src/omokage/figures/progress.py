"""Plot the Fréchet distance and KID of samples from several steps of the training."""

import pandas as pd
from matplotlib.ticker import EngFormatter

from omokage.figures.style import Chart, open_figure, plot_message


def plot(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Plot a table with the columns step, distance, kid and n (number of samples).

    If the table is empty, the chart is a text that gives the reason.
    """
    if table.empty:
        return plot_message("Not computed: progress_samples is 0.", figure_style, figure_palette, figure_dpi)
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 4.6), rows=2, sharex=True) as canvas:
        for axes, key, name, colour in zip(
            canvas.panels, ("distance", "kid"), ("distance", "KID"), canvas.colours, strict=False
        ):
            axes.plot(table["step"], table[key], marker="o", markersize=6, color=colour)
            axes.set_ylabel(name)
            axes.set_ylim(bottom=min(0.0, 1.1 * table[key].min()))
            axes.locator_params(axis="y", nbins=5)
        canvas.panels[0].set_title("Distance during training (lower is better)")
        # Few samples bias the distance upwards, so it is not comparable with the final score.
        samples = f"{_format_range(table['n'])} samples each: compare only within this plot"
        canvas.panels[1].set_xlabel(f"step\n{samples}")
        canvas.panels[1].xaxis.set_major_formatter(EngFormatter(sep=""))
        canvas.figure.align_ylabels()
        return canvas.render_chart()


def _format_range(counts: pd.Series) -> str:
    least, most = counts.min(), counts.max()
    return f"{least}" if least == most else f"{least} to {most}"
