"""Plot the first samples next to the first held-out faces, without selection."""

import math
from functools import partial

from PIL import Image

from omokage.figures.sheet import PAPER, Images, add_margin, choose_fitting, tile_images, write_label

BUDGET, MIN_SIDE = 400_000, 3


def plot(samples: Images, held_out: Images, *, grid_side: int) -> Image.Image:
    """Plot a grid of samples and a grid of held-out faces, both uint8 [n, 3, h, w].

    A grid has grid_side x grid_side images, or fewer if there are fewer images or the file would be too large.
    """
    side = min(grid_side, math.isqrt(len(samples)), math.isqrt(len(held_out)))
    sides = range(side, min(side, MIN_SIDE) - 1, -1)
    return choose_fitting([partial(_compose, samples, held_out, n) for n in sides], BUDGET)


def _compose(samples: Images, held_out: Images, side: int) -> Image.Image:
    left, right = (tile_images(images[: side * side], side, 64, 2) for images in (samples, held_out))
    gap = max(12, left.width // 18)
    size = max(14, left.width // 18)
    head = round(1.8 * size)
    sheet = Image.new("RGB", (2 * left.width + gap, head + left.height), PAPER)
    for grid, x, heading in ((left, 0, "samples"), (right, left.width + gap, "held-out faces")):
        sheet.paste(grid, (x, head))
        write_label(sheet, (x, head - round(0.6 * size)), heading, size, "ls")
    return add_margin(sheet)
