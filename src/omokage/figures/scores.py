"""Plot the scores of the samples, each with the real-vs-real baseline (the floor)."""

from typing import Any

from matplotlib.axes import Axes

from omokage.figures.style import FAINT, INK, Canvas, Chart, open_figure

OVERLAP = ("precision", "recall", "density", "coverage")
# If the detector finds a face in less than this share of the real faces, the face rate says little.
LOW_FACE_RATE = 0.2


def plot(metrics: dict[str, Any], *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Plot the scores in results/scores.json: distance and KID with bootstrap intervals, and the overlap scores.

    No score has a unit.
    """
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 6.0), rows=3, height_ratios=[2, 2, 4]) as canvas:
        distance, kid, overlap = canvas.panels
        distance_name = metrics["score"][:1].upper() + metrics["score"][1:]
        for axes, key, name in ((distance, "distance", distance_name), (kid, "kid", "KID")):
            _plot_bars(axes, metrics, key, canvas)
            axes.set_title(f"{name} (lower is better)")
        _plot_points(overlap, metrics, canvas)
        overlap.set_title(
            f"Overlap with real faces{', and face rate' if _has_face_rate(metrics) else ''} (higher is better)"
        )
        canvas.figure.align_ylabels()
        overlap.set_xlabel(f"{metrics['n']} samples and {metrics['n_reference']} held-out faces", fontsize=11)
        canvas.figure.legend(*overlap.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return canvas.render_chart()


def _plot_bars(axes: Axes, metrics: dict[str, Any], key: str, canvas: Canvas) -> None:
    """Plot the score `key` as a bar with its interval, above a bar of the floor."""
    value, floor = metrics[key], metrics[f"{key}_floor"]
    low, high = metrics[f"{key}_low"], metrics[f"{key}_high"]
    axes.barh(["real faces", "samples"], [floor, value], color=[FAINT, canvas.colours[0]], height=0.62)
    # A line instead of matplotlib's error bar, because the interval need not contain the score.
    axes.plot([low, high], [1, 1], color=INK, linewidth=2, marker="|", markersize=9)
    for row, (end, label) in enumerate(
        (
            (floor, _format_score(floor)),
            (max(value, high), f"{_format_score(value)} ({_format_score(low)} to {_format_score(high)})"),
        )
    ):
        axes.annotate(label, (max(end, 0), row), (8, 0), textcoords="offset points", va="center", fontsize=11)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_xlim(1.1 * min(0.0, low, floor, value), 1.75 * max(1e-9, high, floor, value))
    axes.grid(False)
    axes.locator_params(axis="x", nbins=5)


def _plot_points(axes: Axes, metrics: dict[str, Any], canvas: Canvas) -> None:
    """Plot precision, recall, density, coverage and face rate as points, each in a row with the point of its floor."""
    names = [*OVERLAP, *(["face_rate"] if _has_face_rate(metrics) else [])]
    values = [metrics[key] for key in names]
    floors = [metrics[f"{key}_floor"] for key in names]
    points: dict[str, Any] = {"linestyle": "none", "zorder": 2}
    axes.plot(floors, range(len(names)), marker="D", color=FAINT, markersize=8, label="real faces", **points)
    axes.plot(values, range(len(names)), marker="o", color=canvas.colours[0], markersize=10, label="samples", **points)
    axes.set_yticks(range(len(names)), [key.replace("_", " ") for key in names])
    axes.set_ylim(len(names) - 0.5, -0.8)
    axes.set_xlim(-0.03, max(1.05, *(1.05 * score for score in (*values, *floors))))
    for row, value in enumerate(values):
        axes.annotate(_format_score(value), (value, row), (0, 9), textcoords="offset points", ha="center", fontsize=10)


def _has_face_rate(metrics: dict[str, Any]) -> bool:
    return bool(metrics["face_rate_floor"] >= LOW_FACE_RATE)


def _format_score(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
