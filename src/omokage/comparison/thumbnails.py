"""Make small images of the samples of a run, and remember them in a folder that git ignores."""

import base64
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from omokage.base.checkout import work_folder
from omokage.base.files import write_atomically
from omokage.comparison.samples import FIGURE, crop_grid, cut_samples, read_figure, read_samples
from omokage.figures.sheet import PAPER, Images
from omokage.provenance.history import Entry, History, Revision
from omokage.provenance.lineage import SAMPLES

COLUMNS, ROWS = 4, 2
MAX_SIDE = 48  # pixels of a sample
FOLDER = "thumbnails"  # below the work folder; remove it to make them again


def make_thumbnail(history: History, revision: Revision, objects: Path, locks: Mapping[str, Entry]) -> str | None:
    """Return the data URL of the first samples of a run, in two rows of four, or None if they are missing.

    The samples come from DVC's cache, whose files are in `objects`, or else from the figure in git.
    """
    outs = {path: md5 for entry in locks.values() for path, md5 in entry["outs"].items()}
    image_size = locks.get("faces", {}).get("params", {}).get("image_size")
    makers = (
        (outs.get(SAMPLES), lambda md5: _tile(read_samples(history, revision, objects, md5, COLUMNS * ROWS))),
        (outs.get(FIGURE), lambda md5: _tile_figure(read_figure(history, revision, md5), image_size)),
    )
    for md5, make in makers:
        if md5 and (content := _remember(history, md5, partial(make, md5))):
            return f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}"
    return None


def _remember(history: History, md5: str, make: Callable[[], Image.Image | None]) -> bytes | None:
    """Return the thumbnail of the file with this MD5 as the bytes of a WebP; make and keep it if it is new."""
    path = work_folder(history.root) / FOLDER / f"{md5}.webp"
    with suppress(OSError):
        return path.read_bytes()
    if (image := make()) is None:
        return None
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80, method=4)
    if (history.root / ".dvc").is_dir():
        with suppress(OSError), write_atomically(path) as partial_file:
            partial_file.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def _tile(samples: Images | None) -> Image.Image | None:
    """Return samples, uint8 [n, 3, h, w], side by side without gaps, COLUMNS in a row."""
    if samples is None:
        return None
    height, width = (min(MAX_SIDE, side) for side in samples.shape[2:])
    sheet = Image.new("RGB", (COLUMNS * width, ROWS * height), PAPER)
    for number, sample in enumerate(samples[: COLUMNS * ROWS]):
        tile = Image.fromarray(np.ascontiguousarray(sample.transpose(1, 2, 0)))
        row, column = divmod(number, COLUMNS)
        sheet.paste(tile.resize((width, height), Image.Resampling.LANCZOS), (column * width, row * height))
    return sheet


def _tile_figure(figure: bytes | None, image_size: object) -> Image.Image | None:
    """Return the samples in a figure; of a figure with an unknown layout, the upper half of its samples."""
    if figure is None:
        return None
    samples = (
        cut_samples(figure, image_size, COLUMNS * ROWS) if isinstance(image_size, int) and image_size > 0 else None
    )
    if samples is not None:
        return _tile(samples)
    if (grid := crop_grid(figure)) is None:
        return None
    grid = grid.crop((0, 0, grid.width, grid.height // 2))
    grid.thumbnail((COLUMNS * MAX_SIDE, ROWS * MAX_SIDE), Image.Resampling.LANCZOS)
    return grid
