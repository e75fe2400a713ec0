"""The scores of the samples, each beside what real faces get (the floor)."""

from typing import Any

from matplotlib.axes import Axes

from omokage.figures.style import FAINT, INK, Chart, Plot, plot

MANIFOLD = ("precision", "recall", "density", "coverage")


def draw(metrics: dict[str, Any], *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Draw the scores of a metrics table (all without unit), with the bootstrap interval where they have one."""
    with plot(figure_style, figure_palette, figure_dpi, (6.4, 6.0), rows=3, height_ratios=[2, 2, 4]) as drawing:
        distance, kid, manifold = drawing.panels
        name = metrics["score"][:1].upper() + metrics["score"][1:]
        for axes, key, words in ((distance, "distance", name), (kid, "kid", "KID")):
            _bars(axes, metrics, key, drawing)
            axes.set_title(f"{words} (lower is better)")
        _points(manifold, metrics, drawing)
        manifold.set_title("Overlap with real faces (higher is better)")
        drawing.figure.align_ylabels()
        drawing.figure.supxlabel(f"{metrics['n']} samples and {metrics['n_reference']} real faces", fontsize=11)
        return drawing.chart()


def _bars(axes: Axes, metrics: dict[str, Any], key: str, drawing: Plot) -> None:
    """Draw a distance as a bar with its interval, above its floor."""
    value, floor = metrics[key], metrics[f"{key}_floor"]
    low, high = metrics[f"{key}_low"], metrics[f"{key}_high"]
    axes.barh(["real (floor)", "samples"], [floor, value], color=[FAINT, drawing.colours[0]], height=0.62)
    # The percentiles of a bootstrap need not lie around the score itself.
    axes.plot([low, high], [1, 1], color=INK, linewidth=2, marker="|", markersize=9)
    for row, (end, words) in enumerate(
        ((floor, _short(floor)), (max(value, high), f"{_short(value)} ({_short(low)} to {_short(high)})"))
    ):
        axes.annotate(words, (max(end, 0), row), (8, 0), textcoords="offset points", va="center", fontsize=11)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_xlim(1.1 * min(0.0, low, floor, value), 1.75 * max(1e-9, high, floor, value))
    axes.grid(False)
    axes.locator_params(axis="x", nbins=5)


def _points(axes: Axes, metrics: dict[str, Any], drawing: Plot) -> None:
    """Draw precision, recall, density and coverage as points, beside those of real faces."""
    values = [metrics[key] for key in MANIFOLD]
    floors = [metrics[f"{key}_floor"] for key in MANIFOLD]
    axes.hlines(range(4), values, floors, color=FAINT, linewidth=2, zorder=1)
    look: dict[str, Any] = {"linestyle": "none", "zorder": 2}
    axes.plot(floors, range(4), marker="D", color=FAINT, markersize=8, label="real (floor)", **look)
    axes.plot(values, range(4), marker="o", color=drawing.colours[0], markersize=10, label="samples", **look)
    axes.set_yticks(range(4), MANIFOLD)
    axes.set_ylim(3.5, -0.8)
    axes.set_xlim(-0.03, max(1.05, *(1.05 * score for score in (*values, *floors))))
    for row, value in enumerate(values):
        axes.annotate(_short(value), (value, row), (0, 9), textcoords="offset points", ha="center", fontsize=10)
    axes.legend(loc="best")


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
