"""The reverse process as a film strip: what the sampler holds, and the clean picture it expects."""

from functools import partial

import numpy as np
from PIL import Image

from omokage.figures.sheet import GAP, PAPER, Pictures, fitting, margin, tile, write

# (moments, faces), of which the first that fits is taken.
SIZES, BUDGET = ((9, 2), (7, 2), (9, 1), (7, 1), (5, 1)), 200_000


def draw(moments: dict[str, Pictures]) -> Image.Image:
    """Draw a few of the moments: t [f], and x_t and x0 as uint8 [f, k, 3, h, w], from noise to picture."""
    return fitting([partial(_sheet, moments, *size) for size in SIZES], BUDGET)


def _sheet(moments: dict[str, Pictures], columns: int, faces: int) -> Image.Image:
    count = len(moments["t"])
    shown = np.linspace(0, count - 1, min(columns, count)).round().astype(int)
    faces = min(faces, moments["x_t"].shape[1])
    # Sizes of the words and margins, in pixels of the sheet.
    left, head, between = 108, 84, 16
    rows = [tile(moments[key][shown, face], len(shown)) for face in range(faces) for key in ("x_t", "x0")]
    width, step = rows[0].size
    tops = [head + index * (step + GAP) + index // 2 * between for index in range(len(rows))]
    sheet = Image.new("RGB", (left + width, tops[-1] + step), PAPER)
    write(sheet, (left, 30), "Noise comes out", 27, "ls")
    for index, (row, top) in enumerate(zip(rows, tops, strict=True)):
        sheet.paste(row, (left, top))
        words = ("predicted", "picture") if index % 2 else ("noisy", "picture")
        for line, word in enumerate(words):
            write(sheet, (left - 12, top + step / 2 - 12 + 24 * line), word, 19, "rm", faint=True)
    column = (width + GAP) / len(shown)
    for index, moment in enumerate(shown):
        middle = left + index * column + (column - GAP) / 2
        write(sheet, (middle, head - 12), f"t = {int(moments['t'][moment])}", 21, "ms")
    return margin(sheet)
