"""Compose sheets: grids of small images with labels.

Images are enlarged by an integer factor without smoothing (nearest neighbour), so that single pixels stay visible.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

INK, FAINT, PAPER = (38, 38, 43), (105, 105, 113), (255, 255, 255)
# Lengths in pixels. Text stays readable if a sheet with ten columns is shown 400 pixels wide.
TILE_SIDE, GAP = 96, 4
MARGIN = 12  # around a sheet, in pixels
TITLE_SIZE, TEXT_SIZE, LINE_HEIGHT = 32, 28, 40
Images = NDArray[np.uint8]
# The frames of an animation, and the duration of each frame in milliseconds.
Frames = tuple[list[Image.Image], list[int]]


def enlarge_image(image: Images) -> Image.Image:
    """Return `image`, a uint8 array of shape [3, h, w], as a Pillow image at least TILE_SIDE pixels wide.

    It is enlarged without smoothing, by the factor of `compute_factor`.
    """
    tile = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    factor = compute_factor(tile.width)
    return tile.resize((tile.width * factor, tile.height * factor), Image.Resampling.NEAREST)


def compute_factor(width: int) -> int:
    """Return the smallest integer factor that enlarges an image of this width to at least TILE_SIDE pixels."""
    return -(-TILE_SIDE // width)


def describe_size(images: Images) -> str:
    """Return the size of images, uint8 [..., 3, h, w], and how `enlarge_image` enlarges them, in words."""
    height, width = images.shape[-2:]
    factor = compute_factor(width)
    scale = f"enlarged {factor} times (nearest neighbour)" if factor > 1 else "not enlarged"
    return f"{width} × {height} pixels, {scale}"


def fit_image(image: Images, side: int) -> Image.Image:
    """Return `image`, a uint8 array of shape [3, h, w], as a Pillow image about `side` pixels wide.

    A wider image is shrunk to `side` x `side` pixels (Lanczos). Any other image is enlarged without smoothing by an
    integer factor: the one nearest to `side` / w.
    """
    tile = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    if tile.width > side:
        return tile.resize((side, side), Image.Resampling.LANCZOS)
    factor = round(side / tile.width)
    return tile.resize((tile.width * factor, tile.height * factor), Image.Resampling.NEAREST)


def tile_images(images: Images, columns: int, side: int | None = None, gap: int = GAP) -> Image.Image:
    """Return a grid of images, uint8 [n, 3, h, w], filled row by row; `gap` is the space between them in pixels.

    The images are about `side` pixels wide (see `fit_image`), or without `side` at least TILE_SIDE pixels.
    """
    tiles = [enlarge_image(image) if side is None else fit_image(image, side) for image in images]
    step = tiles[0].width + gap
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * step - gap, rows * step - gap), PAPER)
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % columns * step, index // columns * step))
    return sheet


@dataclass(frozen=True)
class Row:
    """A row of a sheet: images, uint8 [n, 3, h, w], or a short text for each column.

    `name` is written to the left of the row and may have several lines. `gap_above` adds space above the row.
    """

    name: str
    cells: Images | Sequence[str]
    gap_above: bool = False


def compose_rows(title: str, rows: Sequence[Row], note: str = "") -> Image.Image:
    """Return a sheet with a title and these rows. At least one row must have images.

    A line below the rows has the `note`, how large the images are, and by which factor they are enlarged.
    """
    strips = [tile_images(row.cells, len(row.cells)) if isinstance(row.cells, np.ndarray) else row for row in rows]
    width, height = next(strip.size for strip in strips if isinstance(strip, Image.Image))
    footer = note + describe_size(next(row.cells for row in rows if isinstance(row.cells, np.ndarray)))
    left = 16 + max(measure_text(line, TEXT_SIZE) for row in rows for line in row.name.split("\n"))
    heights = [height + GAP if isinstance(strip, Image.Image) else LINE_HEIGHT for strip in strips]
    tops = np.cumsum([TITLE_SIZE + 20, *heights]) + np.cumsum([0, *(20 * row.gap_above for row in rows[1:]), 0])
    full_width = max(left + width, measure_text(title, TITLE_SIZE), measure_text(footer, TEXT_SIZE))
    sheet = Image.new("RGB", (full_width, int(tops[-1]) + LINE_HEIGHT), PAPER)
    write_label(sheet, (0, TITLE_SIZE), title, TITLE_SIZE, "ls")
    write_label(sheet, (0, int(tops[-1]) + LINE_HEIGHT / 2), footer, TEXT_SIZE, "lm", faint=True)
    for row, strip, top, row_height in zip(rows, strips, tops.tolist(), heights, strict=False):
        lines = row.name.split("\n")
        for number, line in enumerate(lines):
            middle = top + row_height / 2 + (number - (len(lines) - 1) / 2) * 1.1 * TEXT_SIZE
            write_label(sheet, (left - 16, middle), line, TEXT_SIZE, "rm", faint=True)
        if isinstance(strip, Image.Image):
            sheet.paste(strip, (left, top))
            continue
        step = (width + GAP) / len(strip.cells)
        for column, text in enumerate(strip.cells):
            centre = (left + column * step + (step - GAP) / 2, top + row_height / 2)
            write_label(sheet, centre, str(text), TEXT_SIZE, "mm")
    return add_margin(sheet)


def note_shown(shown: int, total: int, things: str) -> str:
    """Return a note for `compose_rows` that says how many things are shown, or an empty one if all are."""
    return f"{shown} of {total} {things}, " if shown < total else ""


def choose_fitting(variants: Iterable[Callable[[], Image.Image]], budget: int) -> Image.Image:
    """Return the first variant of a sheet that has at most `budget` bytes as a PNG, otherwise the last one.

    `variants` are functions that compose the sheet, the largest first. The budget keeps the repository small, because
    git stores the figures of every run and images of noise compress badly. All variants have at most 256 colours, which
    take a third of the bytes of an RGB image, so that more images can be shown.
    """
    for draw in variants:
        sheet = reduce_colours(draw())
        if measure_png(sheet) <= budget:
            break
    return sheet


def measure_png(sheet: Image.Image) -> int:
    """Return the size in bytes of the sheet as a PNG."""
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return len(buffer.getvalue())


def round_colours(sheet: Image.Image) -> Image.Image:
    """Return the sheet with every channel rounded to a multiple of 4, which nobody sees; a PNG is a quarter smaller."""
    return sheet.convert("RGB").point([min(255, (value + 2) // 4 * 4) for value in range(256)] * 3)


def reduce_colours(sheet: Image.Image) -> Image.Image:
    """Return the sheet with at most 256 colours, without dithering: faces change by about 3 of 255 (root mean square).

    Maximum coverage and a step of k-means change the colours less than Pillow's default, and compress better. The
    colours are chosen from a sixteenth of the pixels, which takes a fifth of the time.
    """
    if sheet.getcolors(256):
        return sheet
    sheet = sheet.convert("RGB")
    sample = sheet.resize((-(-sheet.width // 4), -(-sheet.height // 4)), Image.Resampling.NEAREST)
    palette = sample.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    return sheet.quantize(palette=palette, dither=Image.Dither.NONE)


def add_margin(sheet: Image.Image) -> Image.Image:
    """Return the sheet with a white margin of MARGIN pixels."""
    return ImageOps.expand(sheet, MARGIN, PAPER)


def format_log_snr(log_snr: float) -> str:
    """Return a log-SNR in nats as text, with its sign and one decimal, or an infinity sign."""
    return f"{log_snr:+z.1f}".replace("-", "−").replace("inf", "∞")


def write_label(
    sheet: Image.Image, at: tuple[float, float], text: str, size: int, anchor: str, faint: bool = False
) -> None:
    """Write a text into the sheet with the point `at` as anchor.

    `anchor` is a text anchor of Pillow, such as "ls" (left end of the baseline) or "mm" (centre).
    """
    ImageDraw.Draw(sheet).text(at, text, font=_load_font(size), fill=FAINT if faint else INK, anchor=anchor)


def measure_text(text: str, size: int) -> int:
    """Return the width of a text in pixels."""
    return round(_load_font(size).getlength(text))


def _load_font(size: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
