"""Plot the project's study of noise schedule, prediction and learning rate."""

import pandas as pd
from matplotlib.axes import Axes

from omokage.figures.style import INK, Chart, open_figure

MARKERS = "os^"


def plot(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Plot distance against learning rate, a panel for each prediction and a line for each schedule.

    `table` is benchmarks/results/study.csv, of which the columns schedule, prediction, lr, distance and distance_floor
    are used. A line connects the means over the seeds. Each run is a marker.
    """
    predictions, schedules = (sorted(set(table[key])) for key in ("prediction", "schedule"))
    size, columns = (8.6, 3.6), len(predictions)
    with open_figure(figure_style, figure_palette, figure_dpi, size, columns=columns, sharey=True) as canvas:
        for axes, prediction in zip(canvas.panels, predictions, strict=True):
            for number, schedule in enumerate(schedules):
                runs = table[(table["prediction"] == prediction) & (table["schedule"] == schedule)]
                colour, means = canvas.colours[number], runs.groupby("lr")["distance"].mean()
                axes.plot(means.index, means, color=colour)
                axes.scatter(runs["lr"], runs["distance"], s=20, color=colour, marker=MARKERS[number], label=schedule)
            floor = table["distance_floor"].mean()
            axes.axhline(floor, color=INK, linewidth=1.5, linestyle="--", label="real faces (floor)", zorder=1)
            axes.set_title(f"prediction {prediction}")
            _format_rate_axis(axes, sorted(set(table["lr"])))
        canvas.panels[0].set_ylim(bottom=0)
        canvas.panels[0].set_ylabel("Fréchet distance")
        handles, labels = canvas.panels[0].get_legend_handles_labels()
        canvas.figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        return canvas.render_chart()


def _format_rate_axis(axes: Axes, rates: list[float]) -> None:
    """Give the horizontal axis a logarithmic scale with a tick for each learning rate."""
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_xticks(rates, labels=[f"{rate:g}" for rate in rates], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("learning rate")
