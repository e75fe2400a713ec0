"""Plot the first samples next to the first held-out faces, without selection."""

import math
from dataclasses import dataclass
from functools import partial

from PIL import Image

from omokage.figures.sheet import (
    PAPER,
    Images,
    add_margin,
    choose_fitting,
    compute_factor,
    describe_size,
    measure_png,
    measure_text,
    round_colours,
    tile_images,
    write_label,
)

# The budgets in bytes: of the full grid with rounded colours, and of a grid with 256 colours, which may be smaller.
ROUNDED_BUDGET, BUDGET = 300_000, 220_000
MIN_SIDE, GAP = 2, 2


def plot(samples: Images, held_out: Images, *, grid_side: int) -> Image.Image:
    """Plot a grid of samples and a grid of held-out faces, both uint8 [n, 3, h, w].

    A grid has grid_side x grid_side images, or fewer if there are fewer images or the file would be too large: the
    heading says so then.
    """
    side = min(grid_side, math.isqrt(len(samples)), math.isqrt(len(held_out)))
    sides = range(side, min(side, MIN_SIDE) - 1, -1)
    # With 256 colours, plain backgrounds get a texture that the samples do not have.
    rounded = round_colours(_compose(samples, held_out, side, side))
    if measure_png(rounded) <= ROUNDED_BUDGET:
        return rounded
    return choose_fitting([partial(_compose, samples, held_out, n, side) for n in sides], BUDGET)


@dataclass(frozen=True)
class Layout:
    """Where the figure has what, in pixels without its margin: two grids of side x side tiles, `gap` apart.

    `head` is the height above the grids, and below them. `text_size` is that of the headings and of the `footer`.
    """

    tile: int
    grid: int
    gap: int
    head: int
    text_size: int
    footer: str
    width: int
    height: int

    @classmethod
    def compute(cls, images: Images, side: int) -> "Layout":
        """Return the layout for grids of `side` x `side` images, of which `images` are some: uint8 [n, 3, h, w]."""
        tile = images.shape[-1] * compute_factor(images.shape[-1])
        grid, footer = side * (tile + GAP) - GAP, describe_size(images)
        # On a page 390 pixels wide, the headings and the footer are about 10 pixels high.
        gap, text_size = max(12, grid // 18), max(14, grid // 18)
        head, width = round(1.8 * text_size), max(2 * grid + gap, measure_text(footer, text_size))
        return cls(tile, grid, gap, head, text_size, footer, width, grid + 2 * head)


def _compose(samples: Images, held_out: Images, side: int, full_side: int) -> Image.Image:
    layout = Layout.compute(samples, side)
    # Not in the footer: a longer one could make the sheet wider than its layout.
    heading = "samples" if side == full_side else f"samples ({side} × {side}, not {full_side} × {full_side})"
    sheet = Image.new("RGB", (layout.width, layout.height), PAPER)
    for images, x, text in ((samples, 0, heading), (held_out, layout.grid + layout.gap, "held-out faces")):
        sheet.paste(tile_images(images[: side * side], side, gap=GAP), (x, layout.head))
        write_label(sheet, (x, layout.head - round(0.6 * layout.text_size)), text, layout.text_size, "ls")
    below = layout.head + layout.grid + layout.head / 2
    write_label(sheet, (0, below), layout.footer, layout.text_size, "lm", faint=True)
    return add_margin(sheet)
