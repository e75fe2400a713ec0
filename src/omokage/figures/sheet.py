"""Sheets of small pictures with a few words: pixels stay pixels, enlarged to where an eye can read them."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

INK, FAINT, PAPER = (38, 38, 43), (105, 105, 113), (255, 255, 255)
LEGIBLE, GAP = 96, 4
# Sizes of letters and of the room they take, in pixels: legible where a sheet ten pictures wide is shown at 400.
TITLE, WORDS, LINE = 32, 28, 40
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


@dataclass(frozen=True)
class Row:
    """A row of a sheet, with its name at the left: pictures [n, 3, h, w], or a few letters for each column.

    A row that stands `apart` has more room above it.
    """

    name: str
    cells: Pictures | Sequence[str]
    apart: bool = False


def ruled(title: str, rows: Sequence[Row]) -> Image.Image:
    """Return a sheet of rows, column under column; a name may have several lines."""
    strips = [tile(row.cells, len(row.cells)) if isinstance(row.cells, np.ndarray) else row for row in rows]
    width, height = next(strip.size for strip in strips if isinstance(strip, Image.Image))
    left = 16 + max(width_of(line, WORDS) for row in rows for line in row.name.split("\n"))
    heights = [height + GAP if isinstance(strip, Image.Image) else LINE for strip in strips]
    tops = np.cumsum([TITLE + 20, *heights]) + np.cumsum([0, *(20 * row.apart for row in rows[1:]), 0])
    sheet = Image.new("RGB", (max(left + width, width_of(title, TITLE)), int(tops[-1])), PAPER)
    write(sheet, (0, TITLE), title, TITLE, "ls")
    for row, strip, top, tall in zip(rows, strips, tops.tolist(), heights, strict=False):
        lines = row.name.split("\n")
        for number, line in enumerate(lines):
            middle = top + tall / 2 + (number - (len(lines) - 1) / 2) * 1.1 * WORDS
            write(sheet, (left - 16, middle), line, WORDS, "rm", faint=True)
        if isinstance(strip, Image.Image):
            sheet.paste(strip, (left, top))
            continue
        step = (width + GAP) / len(strip.cells)
        for column, words in enumerate(strip.cells):
            write(sheet, (left + column * step + (step - GAP) / 2, top + tall / 2), str(words), WORDS, "mm")
    # A palette takes a third of the bytes.
    return margin(sheet).quantize(256, dither=Image.Dither.NONE)


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
    ImageDraw.Draw(sheet).text(at, words, font=_font(size), fill=FAINT if faint else INK, anchor=anchor)


def width_of(words: str, size: int) -> int:
    """Return how many pixels the words take from left to right."""
    return round(_font(size).getlength(words))


def _font(size: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
