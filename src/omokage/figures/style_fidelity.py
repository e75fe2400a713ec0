"""Plot how colours, contrast, saturation and sharpness are distributed among samples and among real faces."""

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from omokage.evaluation.scores.style import COLOURS, measure_style
from omokage.figures.sheet import Images
from omokage.figures.style import FAINT, INK, Canvas, Chart, open_figure

BINS = 24
# The range of an axis leaves out this share of the images at each end, so that a few outliers do not flatten it.
OUTLIERS = 0.005


def plot(
    samples: Images, held_out: Images, train: Images, *, figure_style: str, figure_palette: str, figure_dpi: int
) -> Chart:
    """Plot histograms of the measures of evaluation/scores/style.py over images, uint8 [n, 3, h, w].

    Vertical lines are the means. The table of the report has the differences and ratios of these means.
    """
    images = {"training faces": train, "held-out faces": held_out, "samples": samples}
    measures = {name: measure_style(torch.from_numpy(array)) for name, array in images.items()}
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 5.0), rows=2, columns=3) as canvas:
        for axes, name in zip(canvas.panels, measures["samples"], strict=True):
            _plot_measure(axes, {group: values[name] for group, values in measures.items()}, canvas)
            axes.set_title(f"mean {name}" if name in COLOURS else name)
        counts = [f"{len(array):,} {group}" for group, array in images.items()]
        handles, _ = canvas.panels[0].get_legend_handles_labels()
        canvas.figure.legend(handles, counts, loc="outside lower center", ncols=3, fontsize=10)
        return canvas.render_chart()


def _plot_measure(axes: Axes, values: dict[str, NDArray[np.float64]], canvas: Canvas) -> None:
    """Plot the histograms of one measure, by group of images."""
    everything = np.concatenate([*values.values()])
    low, high = np.quantile(everything, [OUTLIERS, 1 - OUTLIERS])
    edges = np.linspace(low, max(high, low + 1), BINS + 1)
    styles = {
        "training faces": {"color": FAINT, "linestyle": "--", "linewidth": 1.5},
        "held-out faces": {"color": INK, "linewidth": 1.5},
        "samples": {"color": canvas.colours[0], "linewidth": 2},
    }
    for group, style in styles.items():
        shares = np.histogram(values[group].clip(edges[0], edges[-1]), edges)[0] / len(values[group])
        axes.stairs(shares, edges, label=group, **style)
        if group == "samples":
            axes.stairs(shares, edges, color=style["color"], alpha=0.25, fill=True, linewidth=0)
        axes.axvline(values[group].mean(), alpha=0.8, zorder=1, **style)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=4)
