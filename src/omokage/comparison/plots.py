"""Plot the curves, scores and samples of several runs for comparison."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from omokage.comparison.runs import Run
from omokage.figures.sheet import GAP, PAPER, add_margin, tile_images, write_label
from omokage.figures.style import INK, format_error_axis, open_figure

STYLE = ("whitegrid", "colorblind", 120)  # seaborn style and palette, dots per inch
SAMPLES_PER_RUN, TEXT_SIZE = 10, 20


def plot_curves(runs: Sequence[Run]) -> Image.Image:
    """Plot the loss by step and the squared error by noise level, in one colour per run.

    Solid lines with points are errors of the EMA network on held-out faces, and dashed lines those on training faces.
    Pale lines are the smoothed training loss. Runs of older versions have no such errors in their loss table.
    """
    with open_figure(*STYLE, (11, 4.6), columns=2) as canvas:
        loss, levels = canvas.panels
        for run, colour in zip(runs, canvas.colours, strict=False):
            window = 2 * max(1, len(run.loss) // 20) + 1
            smooth = run.loss["loss"].rolling(window, center=True, min_periods=1).mean()
            loss.plot(run.loss["step"], smooth, color=colour, alpha=0.4)
            tables = [(levels, "log_snr", run.levels.sort_values("log_snr"))]
            if {"train", "held_out"} <= {*run.loss}:
                tables.append((loss, "step", run.loss.dropna(subset=["train", "held_out"])))
            for axes, x, table in tables:
                axes.plot(table[x], table["held_out"], "o-", markersize=5, color=colour, label=run.name)
                axes.plot(table[x], table["train"], "--", linewidth=1.2, color=colour)
        loss.set(title="Loss during training (pale: training loss, smoothed)", xlabel="training step")
        levels.set(title="Error by noise level", xlabel="log signal-to-noise ratio (nats)\n← noise        image →")
        for axes in canvas.panels:
            format_error_axis(axes)
        levels.legend(title="held-out set (dashed: training set)")
        return canvas.render_image()


def plot_scores(runs: Sequence[Run]) -> Image.Image:
    """Plot the distance and KID of each run as bars, each with a line at the floor (real-vs-real baseline)."""
    with open_figure(*STYLE, (11, 1.6 + 0.5 * len(runs)), columns=2, sharey=True) as canvas:
        for axes, key, name in zip(canvas.panels, ("distance", "kid"), ("Distance", "KID"), strict=True):
            values = [run.metrics[key] for run in runs]
            floors = [run.metrics[f"{key}_floor"] for run in runs]
            rows = np.arange(len(runs))
            axes.barh(rows, values, color=canvas.colours[: len(runs)], height=0.6)
            axes.vlines(floors, rows - 0.4, rows + 0.4, color=INK, linewidth=2)
            for row, value in enumerate(values):
                text = f"{value:.3g}".replace("-", "−")
                axes.annotate(text, (max(value, floors[row], 0), row), (8, 0), textcoords="offset points", va="center")
            low, high = min(0.0, *values, *floors), max(1e-9, *values, *floors)
            axes.set_xlim(low - 0.03 * (high - low), high + 0.25 * (high - low))
            axes.set_yticks(rows, [run.name for run in runs])
            axes.grid(False, axis="y")
            axes.set_title(f"{name}: lower is better, line: real (floor)")
        canvas.panels[0].invert_yaxis()
        return canvas.render_image()


def plot_samples(runs: Sequence[Run]) -> Image.Image | None:
    """Return a grid with the first samples of each run, one row per run that has samples; None if no run has samples.

    Sample i of every run is in column i.
    """
    strips = [
        (run.name, tile_images(run.samples[:SAMPLES_PER_RUN], SAMPLES_PER_RUN))
        for run in runs
        if run.samples is not None
    ]
    if not strips:
        return None
    head = round(1.6 * TEXT_SIZE)
    width, height = max(strip.width for _, strip in strips), sum(head + strip.height + GAP for _, strip in strips)
    sheet = Image.new("RGB", (width, height), PAPER)
    top = 0
    for name, strip in strips:
        write_label(sheet, (0, top + head - round(0.5 * TEXT_SIZE)), name, TEXT_SIZE, "ls")
        sheet.paste(strip, (0, top + head))
        top += head + strip.height + GAP
    return add_margin(sheet)
