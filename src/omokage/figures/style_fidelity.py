"""Plot how colours, contrast, saturation and sharpness are distributed among samples and among real faces."""

from typing import Any

from matplotlib.axes import Axes

from omokage.figures.style import FAINT, INK, Canvas, Chart, open_figure

GROUPS = {"train": "training faces", "held_out": "held-out faces", "samples": "samples"}
COLOURS = ("red", "green", "blue")
UNITS = {"sharpness": "grey levels squared"}


def plot(metrics: dict[str, Any], *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Plot the `style_histograms` of scores.json (see evaluation/scores/style.py), one panel for each measure.

    Vertical lines are the means. The table of the report has the differences and ratios of these means.
    """
    histograms = metrics["style_histograms"]
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 5.0), rows=2, columns=3) as canvas:
        for axes, (name, histogram) in zip(canvas.panels, histograms.items(), strict=True):
            _plot_measure(axes, histogram, canvas)
            axes.set_title(f"mean {name}" if name in COLOURS else name)
            axes.set_xlabel(UNITS.get(name, "of 255"), fontsize=10)
        canvas.figure.supylabel("share of the images", fontsize=11)
        handles, labels = canvas.panels[0].get_legend_handles_labels()
        canvas.figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=10)
        return canvas.render_chart()


def _plot_measure(axes: Axes, histogram: dict[str, list[float]], canvas: Canvas) -> None:
    """Plot the histograms of one measure, by group of images."""
    styles = {
        "train": {"color": FAINT, "linestyle": "--", "linewidth": 1.5},
        "held_out": {"color": INK, "linewidth": 1.5},
        "samples": {"color": canvas.colours[0], "linewidth": 2},
    }
    for group, style in styles.items():
        *shares, mean = histogram[group]
        axes.stairs(shares, histogram["edges"], label=GROUPS[group], **style)
        if group == "samples":
            axes.stairs(shares, histogram["edges"], color=style["color"], alpha=0.25, fill=True, linewidth=0)
        axes.axvline(mean, alpha=0.8, zorder=1, **style)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=4)
