"""Plot a data card: counts of kept and dropped faces, image sizes, mean colours, and example faces."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from omokage.data import text_arrays
from omokage.figures.sheet import GAP, PAPER, add_margin, measure_text, resize_to_tile, tile_images, write_label
from omokage.figures.style import FAINT, Canvas, open_figure

COLUMNS, SIDE = 12, 64
TEXT_SIZE, HEADING_HEIGHT = 20, 36
TRAIN, HELD_OUT = "training set", "held-out set"


def plot(
    card: dict[str, NDArray], counts: dict[str, Any], *, figure_style: str, figure_palette: str, figure_dpi: int
) -> Image.Image:
    """Plot the arrays of a data card (see data/curation/data_card.py) and the counts in results/curation.json."""
    width = COLUMNS * (SIDE + GAP) - GAP
    inches = (width / figure_dpi, 0.36 * width / figure_dpi)
    with open_figure(figure_style, figure_palette, figure_dpi, inches, columns=3) as canvas:
        _plot_counts(canvas, counts)
        _plot_sizes(canvas, card["sizes"])
        _plot_colours(canvas, card)
        plots = canvas.render_image()
    strips = [
        (TRAIN, tile_images(card["train_faces"], COLUMNS, SIDE)),
        (HELD_OUT, tile_images(card["held_out_faces"], COLUMNS, SIDE)),
    ]
    if len(card["dropped"]):
        strips.append(("dropped", _compose_dropped(card["dropped"], text_arrays.decode(card["kinds"]))))
    height = plots.height + sum(HEADING_HEIGHT + strip.height for _, strip in strips)
    sheet = Image.new("RGB", (width, height), PAPER)
    sheet.paste(plots)
    top = plots.height
    for heading, strip in strips:
        write_label(sheet, (0, top + HEADING_HEIGHT - 10), heading, TEXT_SIZE, "ls")
        sheet.paste(strip, (0, top + HEADING_HEIGHT))
        top += HEADING_HEIGHT + strip.height
    return add_margin(sheet).quantize(256, dither=Image.Dither.NONE)


def _plot_counts(canvas: Canvas, counts: dict[str, Any]) -> None:
    axes = canvas.panels[0]
    bars = {TRAIN: counts["train"], HELD_OUT: counts["held_out"], **counts["dropped"]}
    colours = [canvas.colours[0]] * 2 + [FAINT] * len(counts["dropped"])
    axes.barh(list(bars), list(bars.values()), color=colours)
    for row, count in enumerate(bars.values()):
        axes.annotate(f"{count:,}", (count, row), (4, 0), textcoords="offset points", va="center", fontsize=10)
    axes.invert_yaxis()
    axes.grid(False)
    axes.set(title="faces", xticks=[], xlim=(0, 1.6 * max(bars.values())))


def _plot_sizes(canvas: Canvas, sizes: NDArray[np.int32]) -> None:
    axes = canvas.panels[1]
    axes.hist(sizes, bins=np.linspace(sizes.min() - 10, sizes.max() + 10, 25).tolist(), color=canvas.colours[0])
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set(title="images", xlabel="shorter side (pixels)")


def _plot_colours(canvas: Canvas, card: dict[str, NDArray]) -> None:
    axes = canvas.panels[2]
    rows = [
        pd.DataFrame({"value": card[f"{split}_colours"][:, channel], "colour": colour, "faces": name})
        for split, name in (("train", TRAIN), ("held_out", HELD_OUT))
        for channel, colour in enumerate(("red", "green", "blue"))
    ]
    sns.boxplot(pd.concat(rows), x="colour", y="value", hue="faces", ax=axes, fliersize=0, linewidth=1)
    axes.set(title="mean colours", xlabel="", ylabel="", ylim=(0, 400), yticks=[0, 100, 200])
    axes.tick_params(axis="x", labelsize=10)
    axes.legend(loc="upper center", fontsize=10, handlelength=1, labelspacing=0.2)


def _compose_dropped(images: NDArray[np.uint8], kinds: list[str]) -> Image.Image:
    """Return a strip of the dropped images, grouped by the reason for dropping them (`kinds`, one per image).

    Groups share a line if they fit.
    """
    step, width = SIDE + GAP, COLUMNS * (SIDE + GAP) - GAP
    groups, left, top = [], 0, 0
    for kind in dict.fromkeys(kinds):
        members = images[[kind == candidate for candidate in kinds]]
        group_width = max(len(members) * step, measure_text(kind, TEXT_SIZE) + 20)
        if left and left + group_width - GAP > width:
            left, top = 0, top + HEADING_HEIGHT + step
        groups.append((left, top + HEADING_HEIGHT, kind, members))
        left += group_width
    strip = Image.new("RGB", (width, top + HEADING_HEIGHT + SIDE), PAPER)
    for left, top, kind, members in groups:
        write_label(strip, (left, top - 10), kind, TEXT_SIZE, "ls", faint=True)
        for number, image in enumerate(members):
            strip.paste(resize_to_tile(image, SIDE), (left + number * step, top))
    return strip
