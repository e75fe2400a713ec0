"""A data card: what became of every face, sizes, colours, and some faces kept, held out and dropped."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from omokage.data import text
from omokage.figures.sheet import GAP, PAPER, legible, margin, tile, width_of, write
from omokage.figures.style import FAINT, Plot, plot

COLUMNS, SIDE = 12, 64
WORDS, HEAD = 20, 36


def draw(
    card: dict[str, NDArray], counts: dict[str, Any], *, figure_style: str, figure_palette: str, figure_dpi: int
) -> Image.Image:
    """Draw the arrays of a card (see omokage.data.card) and the counts of the curation."""
    width = COLUMNS * (SIDE + GAP) - GAP
    inches = (width / figure_dpi, 0.36 * width / figure_dpi)
    with plot(figure_style, figure_palette, figure_dpi, inches, columns=3) as drawing:
        _fates(drawing, counts["faces"])
        _sizes(drawing, card["sizes"])
        _colours(drawing, card)
        plots = drawing.image()
    strips = [
        ("to train on", tile(card["train_faces"], COLUMNS, SIDE)),
        ("held out", tile(card["held_out_faces"], COLUMNS, SIDE)),
    ]
    if len(card["dropped"]):
        strips.append(("dropped", _dropped(card["dropped"], text.decode(card["kinds"]))))
    sheet = Image.new("RGB", (width, plots.height + sum(HEAD + strip.height for _, strip in strips)), PAPER)
    sheet.paste(plots)
    top = plots.height
    for words, strip in strips:
        write(sheet, (0, top + HEAD - 10), words, WORDS, "ls")
        sheet.paste(strip, (0, top + HEAD))
        top += HEAD + strip.height
    return margin(sheet).quantize(256, dither=Image.Dither.NONE)


def _fates(drawing: Plot, tally: dict[str, Any]) -> None:
    axes, numbers = (
        drawing.panels[0],
        {"to train on": tally["train"], "held out": tally["held_out"], **tally["dropped"]},
    )
    colours = [drawing.colours[0]] * 2 + [FAINT] * len(tally["dropped"])
    axes.barh(list(numbers), list(numbers.values()), color=colours)
    for row, number in enumerate(numbers.values()):
        axes.annotate(f"{number:,}", (number, row), (4, 0), textcoords="offset points", va="center", fontsize=10)
    axes.invert_yaxis()
    axes.grid(False)
    axes.set(title="faces", xticks=[], xlim=(0, 1.6 * max(numbers.values())))


def _sizes(drawing: Plot, sizes: NDArray[np.int32]) -> None:
    axes = drawing.panels[1]
    axes.hist(sizes, bins=np.linspace(sizes.min() - 10, sizes.max() + 10, 25).tolist(), color=drawing.colours[0])
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set(title="pictures", xlabel="shorter side (pixels)")


def _colours(drawing: Plot, card: dict[str, NDArray]) -> None:
    axes = drawing.panels[2]
    rows = [
        pd.DataFrame({"value": card[f"{split}_colours"][:, channel], "colour": colour, "faces": name})
        for split, name in (("train", "to train on"), ("held_out", "held out"))
        for channel, colour in enumerate(("red", "green", "blue"))
    ]
    sns.boxplot(pd.concat(rows), x="colour", y="value", hue="faces", ax=axes, fliersize=0, linewidth=1)
    axes.set(title="mean colours", xlabel="", ylabel="", ylim=(0, 400), yticks=[0, 100, 200])
    axes.tick_params(axis="x", labelsize=10)
    axes.legend(loc="upper center", fontsize=10, handlelength=1, labelspacing=0.2)


def _dropped(pictures: NDArray[np.uint8], kinds: list[str]) -> Image.Image:
    """Return the dropped pictures under the reason of each, reasons side by side as far as they fit."""
    step, width = SIDE + GAP, COLUMNS * (SIDE + GAP) - GAP
    places, left, top = [], 0, 0
    for kind in dict.fromkeys(kinds):
        alike = pictures[[other == kind for other in kinds]]
        needed = max(len(alike) * step, width_of(kind, WORDS) + 20)
        if left and left + needed - GAP > width:
            left, top = 0, top + HEAD + step
        places.append((left, top + HEAD, kind, alike))
        left += needed
    strip = Image.new("RGB", (width, top + HEAD + SIDE), PAPER)
    for left, top, kind, alike in places:
        write(strip, (left, top - 10), kind, WORDS, "ls", faint=True)
        for number, picture in enumerate(alike):
            strip.paste(legible(picture, SIDE), (left + number * step, top))
    return strip
