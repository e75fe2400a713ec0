"""A few pictures losing their noise, as a GIF."""

import io

import numpy as np
from PIL import Image

from omokage.figures.sheet import Frames, Pictures, tile

# A GIF compresses noise badly: of these, (pictures a row, rows, side in pixels, colours), the first that fits is taken.
SIZES = ((4, 2, 96, 64), (3, 2, 96, 64), (4, 2, 64, 64), (3, 2, 64, 64), (3, 1, 64, 64), (2, 1, 64, 32), (1, 1, 64, 32))
BUDGET, MOMENTS = 280_000, 16
MILLISECONDS, HELD = 160, 2500


def draw(moments: dict[str, Pictures]) -> Frames:
    """Return x_t, uint8 [f, k, 3, h, w], at a few moments, then the final x0, as palette pictures; and milliseconds."""
    shown = np.linspace(0, len(moments["t"]) - 1, min(MOMENTS, len(moments["t"]))).round().astype(int)
    final = moments["x0"][-1]
    stack = [*moments["x_t"][shown], final]
    for columns, rows, side, colours in SIZES:
        across = min(columns, len(final))
        sheets = [tile(pictures[: columns * rows], across, side) for pictures in stack]
        frames = [sheet.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) for sheet in sheets]
        if _size(frames) <= BUDGET:
            break
    return frames, [MILLISECONDS] * (len(frames) - 1) + [HELD]


def _size(frames: list[Image.Image]) -> int:
    written = io.BytesIO()
    frames[0].save(written, "GIF", save_all=True, append_images=frames[1:], optimize=False)
    return len(written.getvalue())
