"""Pictures drawn by the model beside real faces it has never seen, not chosen by anyone."""

import math
from functools import partial

from PIL import Image

from omokage.figures.sheet import PAPER, Pictures, fitting, margin, tile, write

BUDGET, LEAST = 400_000, 3


def draw(samples: Pictures, held_out: Pictures, *, grid_side: int) -> Image.Image:
    """Draw the first grid_side x grid_side of each of uint8 [n, 3, h, w], or fewer: those there are, those that fit."""
    side = min(grid_side, math.isqrt(len(samples)), math.isqrt(len(held_out)))
    return fitting([partial(_sheet, samples, held_out, n) for n in range(side, min(side, LEAST) - 1, -1)], BUDGET)


def _sheet(samples: Pictures, held_out: Pictures, side: int) -> Image.Image:
    left, right = (tile(pictures[: side * side], side, 64, 2) for pictures in (samples, held_out))
    between = max(12, left.width // 18)
    size = max(14, left.width // 18)
    head = round(1.8 * size)
    sheet = Image.new("RGB", (2 * left.width + between, head + left.height), PAPER)
    for picture, x, words in ((left, 0, "drawn by the model"), (right, left.width + between, "real faces, held out")):
        sheet.paste(picture, (x, head))
        write(sheet, (x, head - round(0.6 * size)), words, size, "ls")
    return margin(sheet)
