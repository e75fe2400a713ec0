"""Compose an animation (denoising.gif) of a few samples during denoising."""

import io

import numpy as np
from PIL import Image

from omokage.figures.sheet import Frames, Images, tile_images

# (columns, rows, side in pixels, colours) to try, in this order, until the GIF has at most BUDGET bytes.
SIZES = ((4, 2, 96, 64), (3, 2, 96, 64), (4, 2, 64, 64), (3, 2, 64, 64), (3, 1, 64, 64), (2, 1, 64, 32), (1, 1, 64, 32))
BUDGET, MAX_FRAMES = 280_000, 16
FRAME_MS, LAST_FRAME_MS = 160, 2500


def plot(denoising: dict[str, Images]) -> Frames:
    """Return the frames of the animation as palette images, with their durations in milliseconds.

    `denoising` has the arrays `t` [f], and `x_t` and `x0`, uint8 [f, k, 3, h, w], of k samples. The animation shows x_t
    at a few timesteps, and then the final x0.
    """
    count = len(denoising["t"])
    shown = np.linspace(0, count - 1, min(MAX_FRAMES, count)).round().astype(int)
    final = denoising["x0"][-1]
    stack = [*denoising["x_t"][shown], final]
    for columns, rows, side, colours in SIZES:
        grid = min(columns, len(final))
        sheets = [tile_images(images[: columns * rows], grid, side) for images in stack]
        frames = [sheet.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) for sheet in sheets]
        if _measure_gif(frames) <= BUDGET:
            break
    return frames, [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]


def _measure_gif(frames: list[Image.Image]) -> int:
    """Return the size in bytes of a GIF with these frames."""
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], optimize=False)
    return len(buffer.getvalue())
