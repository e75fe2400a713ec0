"""Sheets of small pictures with a few words: pixels stay pixels, enlarged to where an eye can read them."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

INK, FAINT, PAPER = (38, 38, 43), (105, 105, 113), (255, 255, 255)
LEGIBLE, GAP = 96, 4
Pictures = NDArray[np.uint8]
Frames = tuple[list[Image.Image], list[int]]


def legible(picture: Pictures, side: int = LEGIBLE) -> Image.Image:
    """Return a picture [3, h, w] at about `side` pixels: enlarged by a whole number, nearest neighbour, or shrunk."""
    image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    if image.width > side:
        return image.resize((side, side), Image.Resampling.LANCZOS)
    factor = round(side / image.width)
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def tile(pictures: Pictures, columns: int, side: int = LEGIBLE, gap: int = GAP) -> Image.Image:
    """Return pictures [n, 3, h, w] row by row, `columns` a row."""
    tiles = [legible(picture, side) for picture in pictures]
    step = tiles[0].width + gap
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * step - gap, rows * step - gap), PAPER)
    for index, picture in enumerate(tiles):
        sheet.paste(picture, (index % columns * step, index // columns * step))
    return sheet


def fitting(sheets: Iterable[Callable[[], Image.Image]], budget: int) -> Image.Image:
    """Return the first of some drawings, or else the last, that takes at most `budget` bytes as a PNG.

    Git keeps every figure of every run, and noise cannot be compressed.
    """
    for draw in sheets:
        sheet, written = draw(), io.BytesIO()
        sheet.save(written, "PNG")
        if len(written.getvalue()) <= budget:
            break
    return sheet


def margin(sheet: Image.Image) -> Image.Image:
    """Return the sheet with a little paper around it."""
    return ImageOps.expand(sheet, 12, PAPER)


def write(sheet: Image.Image, at: tuple[float, float], words: str, size: int, anchor: str, faint: bool = False) -> None:
    """Write words into the sheet; `anchor` is Pillow's (ls: left on the baseline, mm: the middle of both)."""
    path = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    font = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
    ImageDraw.Draw(sheet).text(at, words, font=font, fill=FAINT if faint else INK, anchor=anchor)
