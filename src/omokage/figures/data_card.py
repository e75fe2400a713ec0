"""Plot a data card: counts of kept and dropped faces, image sizes, mean colours, and example faces."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from omokage.data import text_arrays
from omokage.figures.sheet import (
    GAP,
    PAPER,
    TILE_SIDE,
    Images,
    add_margin,
    choose_fitting,
    compute_factor,
    describe_size,
    enlarge_image,
    measure_text,
    tile_images,
    write_label,
)
from omokage.figures.style import FAINT, Canvas, open_figure

# Images in a row to try, in this order, until the PNG has at most BUDGET bytes.
MAX_COLUMNS, BUDGET = (8, 6, 4, 3), 120_000
STEP = TILE_SIDE + GAP
WIDTH = MAX_COLUMNS[0] * STEP - GAP
TEXT_SIZE, HEADING_HEIGHT, NOTE_HEIGHT = 20, 36, 28
TRAIN, HELD_OUT = "training set", "held-out set"


def plot(
    card: dict[str, NDArray], counts: dict[str, Any], *, figure_style: str, figure_palette: str, figure_dpi: int
) -> Image.Image:
    """Plot the arrays of a data card (see data/curation/data_card.py) and the counts in results/curation.json."""
    inches = (WIDTH / figure_dpi, 0.36 * WIDTH / figure_dpi)
    with open_figure(figure_style, figure_palette, figure_dpi, inches, columns=3) as canvas:
        _plot_counts(canvas, counts)
        _plot_sizes(canvas, card["sizes"])
        _plot_colours(canvas, card)
        plots = canvas.render_image()
    return choose_fitting([partial(_compose, plots, card, columns) for columns in MAX_COLUMNS], BUDGET)


def _compose(plots: Image.Image, card: dict[str, NDArray], columns: int) -> Image.Image:
    """Return the charts with rows of at most `columns` images below them."""
    strips = [
        (TRAIN, _tile_faces(card["train_faces"], columns)),
        (HELD_OUT, _tile_faces(card["held_out_faces"], columns)),
    ]
    notes = [f"faces: {describe_size(card['train_faces'])}"]
    if len(card["dropped"]):
        kinds = text_arrays.decode(card["kinds"])
        strips.append(("dropped", _compose_dropped(card["dropped"], kinds, columns)))
        notes.append(f"dropped: the source image, shrunk to {card['dropped'].shape[-1]} pixels (Lanczos)")
    foot = 10 + NOTE_HEIGHT * len(notes)
    height = plots.height + sum(HEADING_HEIGHT + strip.height for _, strip in strips) + foot
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    sheet.paste(plots)
    top = plots.height
    for heading, strip in strips:
        write_label(sheet, (0, top + HEADING_HEIGHT - 10), heading, TEXT_SIZE, "ls")
        sheet.paste(strip, (0, top + HEADING_HEIGHT))
        top += HEADING_HEIGHT + strip.height
    for number, note in enumerate(notes, 1):
        write_label(sheet, (0, top + 4 + NOTE_HEIGHT * number), note, TEXT_SIZE, "ls", faint=True)
    return add_margin(sheet)


def _tile_faces(faces: Images, columns: int) -> Image.Image:
    """Return a row of faces, uint8 [n, 3, h, w]: `columns` if so many fit, evenly spaced over all of them."""
    width = compute_factor(faces.shape[-1]) * faces.shape[-1]
    count = max(1, min(columns, (WIDTH + GAP) // (width + GAP), len(faces)))
    return tile_images(faces[np.linspace(0, len(faces) - 1, count).round().astype(int)], count)


def _plot_counts(canvas: Canvas, counts: dict[str, Any]) -> None:
    axes = canvas.panels[0]
    bars = {TRAIN: counts["train"], HELD_OUT: counts["held_out"], **counts["dropped"]}
    colours = [canvas.colours[0]] * 2 + [FAINT] * len(counts["dropped"])
    axes.barh(list(bars), list(bars.values()), color=colours)
    for row, count in enumerate(bars.values()):
        axes.annotate(f"{count:,}", (count, row), (4, 0), textcoords="offset points", va="center", fontsize=11)
    axes.invert_yaxis()
    axes.grid(False)
    axes.set(title="faces", xticks=[], xlim=(0, 1.9 * max(bars.values())))


def _plot_sizes(canvas: Canvas, sizes: NDArray[np.int32]) -> None:
    axes = canvas.panels[1]
    if sizes.min() == sizes.max():
        axes.set(title="image sizes", xticks=[], yticks=[])
        words = f"all {len(sizes):,}:\n{sizes[0]} pixels\n(shorter side)"
        axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes)
        return
    axes.hist(sizes, bins=np.linspace(sizes.min() - 10, sizes.max() + 10, 25).tolist(), color=canvas.colours[0])
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set(title="image sizes", xlabel="shorter side (pixels)", ylabel="images")


def _plot_colours(canvas: Canvas, card: dict[str, NDArray]) -> None:
    axes = canvas.panels[2]
    rows = [
        pd.DataFrame({"value": card[f"{split}_colours"][:, channel], "colour": colour, "faces": name})
        for split, name in (("train", TRAIN), ("held_out", HELD_OUT))
        for channel, colour in enumerate(("red", "green", "blue"))
    ]
    sns.boxplot(pd.concat(rows), x="colour", y="value", hue="faces", ax=axes, fliersize=0, linewidth=1)
    axes.set(title="mean colours", xlabel="", ylabel="of 255", ylim=(0, 400), yticks=[0, 100, 200])
    axes.tick_params(axis="x", labelsize=10)
    axes.legend(loc="upper center", fontsize=10, handlelength=1, labelspacing=0.2)


def _compose_dropped(images: Images, kinds: list[str], columns: int) -> Image.Image:
    """Return a strip of the dropped images, grouped by the reason for dropping them (`kinds`, one per image).

    Groups share a line if they fit. A group has at most `columns` images.
    """
    groups, left, top = [], 0, 0
    for kind in dict.fromkeys(kinds):
        members = images[[kind == candidate for candidate in kinds]][:columns]
        group_width = max(len(members) * STEP, measure_text(kind, TEXT_SIZE) + 20)
        if left and left + group_width - GAP > WIDTH:
            left, top = 0, top + HEADING_HEIGHT + STEP
        groups.append((left, top + HEADING_HEIGHT, kind, members))
        left += group_width
    strip = Image.new("RGB", (WIDTH, top + HEADING_HEIGHT + TILE_SIDE), PAPER)
    for left, top, kind, members in groups:
        write_label(strip, (left, top - 10), kind, TEXT_SIZE, "ls", faint=True)
        for number, image in enumerate(members):
            strip.paste(enlarge_image(image), (left + number * STEP, top))
    return strip
