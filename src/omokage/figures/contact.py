"""A contact sheet: some pictures with the faces that were cut out of them, to see whether they are the right ones."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from omokage.figures.sheet import GAP, PAPER, fitting, margin, write

KEPT, LOST = (0, 114, 178), (213, 94, 0)  # blue and vermilion of Okabe and Ito, apart for every eye
BUDGET, COUNTS, COLUMNS = 150_000, (40, 30, 20, 10), 10


def draw(card: dict[str, NDArray]) -> Image.Image:
    """Draw the card's pictures with their boxes: kept faces framed in blue, dropped ones in vermilion."""
    pictures = card["pictures"]
    counts = [count for count in COUNTS if count < len(pictures)]
    return fitting([partial(_sheet, card, count) for count in (min(len(pictures), COUNTS[0]), *counts)], BUDGET)


def _sheet(card: dict[str, NDArray], count: int) -> Image.Image:
    side = card["pictures"].shape[-1]
    columns, step, head = min(COLUMNS, max(1, count)), side + GAP, 48
    rows = -(-max(1, count) // columns)
    sheet = Image.new("RGB", (max(columns * step - GAP, 4 * step), head + rows * step - GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for x, colour, words in ((0, KEPT, "kept"), (140, LOST, "dropped")):
        pen.rectangle((x, 6, x + 24, 30), outline=colour, width=4)
        write(sheet, (x + 34, 18), words, 26, "lm")
    # Spread over all there are, as those are over the data set.
    shown = np.linspace(0, len(card["pictures"]) - 1, count).round().astype(int)
    for place, number in enumerate(shown):
        picture = card["pictures"][number]
        left, top = place % columns * step, head + place // columns * step
        sheet.paste(Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))), (left, top))
        for _, *box, kept in card["boxes"][card["boxes"][:, 0] == number].tolist():
            corners = [box[0] + left, box[1] + top, min(box[2], side - 1) + left, min(box[3], side - 1) + top]
            pen.rectangle(corners, outline=KEPT if kept else LOST, width=3)
    # A palette is a third of the bytes, and boxes can be judged as well.
    return margin(sheet).quantize(128, dither=Image.Dither.NONE)
