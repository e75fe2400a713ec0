"""Plot some source images with their crops marked, to check that the right faces are cropped."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from omokage.figures.sheet import GAP, PAPER, add_margin, choose_fitting, write_label

# Blue and vermilion of the Okabe-Ito palette, which colour-blind readers can tell apart.
KEPT_COLOUR, DROPPED_COLOUR = (0, 114, 178), (213, 94, 0)
# Counts of images to try, in this order, until the PNG has at most BUDGET bytes.
BUDGET, COUNTS, COLUMNS = 60_000, (40, 30, 20, 10), 10


def plot(card: dict[str, NDArray]) -> Image.Image:
    """Plot the `pictures` and `boxes` of a data card (see data/curation/data_card.py).

    Kept faces are framed in blue, dropped faces in vermilion.
    """
    images = card["pictures"]
    counts = [count for count in COUNTS if count < len(images)]
    return choose_fitting([partial(_compose, card, count) for count in (min(len(images), COUNTS[0]), *counts)], BUDGET)


def _compose(card: dict[str, NDArray], count: int) -> Image.Image:
    images = card["pictures"]
    side = images.shape[-1]
    columns, step, head = min(COLUMNS, max(1, count)), side + GAP, 48
    rows = -(-max(1, count) // columns)
    sheet = Image.new("RGB", (max(columns * step - GAP, 4 * step), head + rows * step - GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    # At even distances, so that fewer images still represent the whole data set.
    shown = np.linspace(0, len(images) - 1, count).round().astype(int)
    framed = set(card["boxes"][np.isin(card["boxes"][:, 0], shown), 5].tolist())
    for x, kept, colour, text in ((0, 1, KEPT_COLOUR, "kept"), (140, 0, DROPPED_COLOUR, "dropped")):
        if kept in framed:
            draw.rectangle((x, 6, x + 24, 30), outline=colour, width=4)
            write_label(sheet, (x + 34, 18), text, 26, "lm")
    for position, index in enumerate(shown):
        left, top = position % columns * step, head + position // columns * step
        sheet.paste(Image.fromarray(np.ascontiguousarray(images[index].transpose(1, 2, 0))), (left, top))
        for _, *box, kept in card["boxes"][card["boxes"][:, 0] == index].tolist():
            corners = [box[0] + left, box[1] + top, min(box[2], side - 1) + left, min(box[3], side - 1) + top]
            draw.rectangle(corners, outline=KEPT_COLOUR if kept else DROPPED_COLOUR, width=3)
    return add_margin(sheet)
