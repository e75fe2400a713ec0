"""Compose the contact sheet of `omokage preview-data`: examples of the kept faces, and of those dropped by kind."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from omokage.cli.data_preview import KEPT, DataPreview
from omokage.data.images import zip_reader
from omokage.data.images.decode import UnusableImageError, decode_image
from omokage.figures.sheet import GAP, PAPER, add_margin, write_label

COLUMNS, SIDE = 12, 96
MAX_KEPT, MAX_DROPPED = 60, 24  # examples of each group
TEXT_SIZE, HEADING_HEIGHT = 20, 36


def compose_sheet(preview: DataPreview) -> Image.Image:
    """Return the sheet. A face is shown as it is cropped, and an image without a face as a whole."""
    strips = []
    for name, rows in preview.groups.items():
        count = min(len(rows), MAX_KEPT if name == KEPT else MAX_DROPPED)
        examples = [rows[index * len(rows) // count] for index in range(count)]
        tiles = [tile for row in examples if (tile := _make_tile(preview.archive, row)) is not None]
        strips.append((f"{name}: {len(rows)} ({len(tiles)} shown)", tiles))
    step = SIDE + GAP
    heights = [HEADING_HEIGHT + -(-len(tiles) // COLUMNS) * step for _, tiles in strips]
    sheet = Image.new("RGB", (COLUMNS * step - GAP, sum(heights)), PAPER)
    top = 0
    for (heading, tiles), height in zip(strips, heights, strict=True):
        write_label(sheet, (0, top + HEADING_HEIGHT - 10), heading, TEXT_SIZE, "ls")
        for index, tile in enumerate(tiles):
            sheet.paste(tile, (index % COLUMNS * step, top + HEADING_HEIGHT + index // COLUMNS * step))
        top += height
    return add_margin(sheet)


def _make_tile(archive: Path, row: Mapping[str, str]) -> Image.Image | None:
    """Return the face or image of a row of data/curation.csv, or None if it cannot be decoded or is no image."""
    try:
        image = decode_image(zip_reader.read_image_file(archive, row["picture"]))
    except (KeyError, UnusableImageError):
        return None
    if row["box"]:
        left, top, right, bottom = map(int, row["box"].split())
        image = image.crop((left, top, right, bottom))
    scale = SIDE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    tile = Image.new("RGB", (SIDE, SIDE), PAPER)
    tile.paste(image.resize((width, height), Image.Resampling.LANCZOS), ((SIDE - width) // 2, (SIDE - height) // 2))
    return tile
