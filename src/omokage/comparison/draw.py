"""The figures that put runs side by side."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from omokage.comparison.runs import Run
from omokage.figures.sheet import GAP, PAPER, margin, tile, write
from omokage.figures.style import INK, plot, squared_errors

LOOKS = ("whitegrid", "colorblind", 120)
ACROSS, LETTERS = 10, 20


def curves(runs: Sequence[Run]) -> Image.Image:
    """Draw the smoothed training loss over the steps, and the error by noise level, a colour for each run."""
    with plot(*LOOKS, (11, 4.6), columns=2) as drawing:
        loss, levels = drawing.panels
        for run, colour in zip(runs, drawing.colours, strict=False):
            window = 2 * max(1, len(run.loss) // 20) + 1
            smooth = run.loss["loss"].rolling(window, center=True, min_periods=1).mean()
            loss.plot(run.loss["step"], smooth, color=colour, label=run.name)
            table = run.levels.sort_values("log_snr")
            levels.plot(table["log_snr"], table["held_out"], "o-", markersize=5, color=colour, label=run.name)
            levels.plot(table["log_snr"], table["train"], "--", linewidth=1.2, color=colour)
        loss.set(title="Training loss, smoothed", xlabel="step")
        levels.set(title="Error by noise level", xlabel="log signal-to-noise ratio (nats)\n← noise        picture →")
        for axes in drawing.panels:
            squared_errors(axes)
        levels.legend(title="held-out faces (dashed: trained on)")
        return drawing.image()


def scores(runs: Sequence[Run]) -> Image.Image:
    """Draw distance and KID of each run, with a line at its floor: what real faces score against real faces."""
    with plot(*LOOKS, (11, 1.6 + 0.5 * len(runs)), columns=2, sharey=True) as drawing:
        for axes, key, name in zip(drawing.panels, ("distance", "kid"), ("Distance", "KID"), strict=True):
            values = [run.metrics[key] for run in runs]
            floors = [run.metrics[f"{key}_floor"] for run in runs]
            rows = np.arange(len(runs))
            axes.barh(rows, values, color=drawing.colours[: len(runs)], height=0.6)
            axes.vlines(floors, rows - 0.4, rows + 0.4, color=INK, linewidth=2)
            for row, value in enumerate(values):
                words = f"{value:.3g}".replace("-", "−")
                axes.annotate(words, (max(value, floors[row], 0), row), (8, 0), textcoords="offset points", va="center")
            least, most = min(0.0, *values, *floors), max(1e-9, *values, *floors)
            axes.set_xlim(least - 0.03 * (most - least), most + 0.25 * (most - least))
            axes.set_yticks(rows, [run.name for run in runs])
            axes.grid(False, axis="y")
            axes.set_title(f"{name} (lower is better; line: floor)")
        drawing.panels[0].invert_yaxis()
        return drawing.image()


def samples(runs: Sequence[Run]) -> Image.Image | None:
    """Draw the first samples of each run that has them, a row each: picture i below picture i. None if no run has."""
    strips = [(run.name, tile(run.samples[:ACROSS], ACROSS)) for run in runs if run.samples is not None]
    if not strips:
        return None
    head = round(1.6 * LETTERS)
    sheet = Image.new("RGB", (max(s.width for _, s in strips), sum(head + s.height + GAP for _, s in strips)), PAPER)
    top = 0
    for name, strip in strips:
        write(sheet, (0, top + head - round(0.5 * LETTERS)), name, LETTERS, "ls")
        sheet.paste(strip, (0, top + head))
        top += head + strip.height + GAP
    return margin(sheet)
