"""Compose an animation (denoising.gif) of a few samples during denoising."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.figures.sheet import PAPER, Frames, format_log_snr, measure_text, tile_images, write_label

# (columns, rows, side in pixels, colours) to try, in this order, until the GIF has at most BUDGET bytes.
SIZES = (
    *((4, 2, 96, 64), (3, 2, 96, 64), (4, 2, 64, 64), (3, 2, 64, 64)),
    *((3, 2, 64, 32), (3, 1, 64, 32), (2, 1, 64, 32), (1, 1, 64, 32), (1, 1, 64, 8)),
)
BUDGET, MAX_FRAMES = 125_000, 16
FRAME_MS, LAST_FRAME_MS = 300, 3000
TEXT_SIZE, HEAD, LONGEST_LABEL = 20, 32, "t = 9999, log-SNR −99.9"


def plot(denoising: dict[str, NDArray[Any]]) -> Frames:
    """Return the frames of the animation as palette images, with their durations in milliseconds.

    `denoising` has the arrays of sampling/frames.stack_frames. The animation shows x_t of k samples in some frames, the
    last of which is the clean image. Each frame is labelled with its timestep and its log-SNR.
    """
    count = len(denoising["t"])
    shown = np.linspace(0, count - 1, min(MAX_FRAMES, count)).round().astype(int)
    stack = denoising["x_t"][shown]
    levels = zip(denoising["t"][shown].tolist(), denoising["log_snr"][shown].tolist(), strict=True)
    labels = [f"t = {t}, log-SNR {format_log_snr(log_snr)}" for t, log_snr in levels]
    labels[-1] = "clean image"
    for columns, rows, side, colours in SIZES:
        sheets = [
            _compose(tile_images(images[: columns * rows], min(columns, len(images)), side), label)
            for images, label in zip(stack, labels, strict=True)
        ]
        frames = [sheet.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) for sheet in sheets]
        if _measure_gif(frames) <= BUDGET:
            break
    return frames, [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]


def _compose(grid: Image.Image, label: str) -> Image.Image:
    """Return a grid of images with a label above it. Frames are wide enough for any label."""
    width = max(grid.width, measure_text(LONGEST_LABEL, TEXT_SIZE))
    frame = Image.new("RGB", (width, HEAD + grid.height), PAPER)
    write_label(frame, (0, HEAD / 2), label, TEXT_SIZE, "lm")
    frame.paste(grid, (0, HEAD))
    return frame


def _measure_gif(frames: list[Image.Image]) -> int:
    """Return the size in bytes of a GIF with these frames."""
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], optimize=False)
    return len(buffer.getvalue())
