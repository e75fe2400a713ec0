"""Plot the first samples next to the first held-out faces, without selection."""

import math
from functools import partial

from PIL import Image

from omokage.figures.sheet import (
    PAPER,
    Images,
    add_margin,
    choose_fitting,
    describe_size,
    measure_text,
    tile_images,
    write_label,
)

BUDGET, MIN_SIDE, GAP = 400_000, 2, 2


def plot(samples: Images, held_out: Images, *, grid_side: int) -> Image.Image:
    """Plot a grid of samples and a grid of held-out faces, both uint8 [n, 3, h, w].

    A grid has grid_side x grid_side images, or fewer if there are fewer images or the file would be too large.
    """
    side = min(grid_side, math.isqrt(len(samples)), math.isqrt(len(held_out)))
    sides = range(side, min(side, MIN_SIDE) - 1, -1)
    return choose_fitting([partial(_compose, samples, held_out, n) for n in sides], BUDGET)


def _compose(samples: Images, held_out: Images, side: int) -> Image.Image:
    left, right = (tile_images(images[: side * side], side, gap=GAP) for images in (samples, held_out))
    gap, footer = max(12, left.width // 18), describe_size(samples)
    # On a page 390 pixels wide, the headings and the footer are about 10 pixels high.
    size = max(14, left.width // 18)
    head, width = round(1.8 * size), max(2 * left.width + gap, measure_text(footer, size))
    sheet = Image.new("RGB", (width, 2 * head + left.height), PAPER)
    for grid, x, heading in ((left, 0, "samples"), (right, left.width + gap, "held-out faces")):
        sheet.paste(grid, (x, head))
        write_label(sheet, (x, head - round(0.6 * size)), heading, size, "ls")
    write_label(sheet, (0, head + left.height + head / 2), footer, size, "lm", faint=True)
    return add_margin(sheet)
