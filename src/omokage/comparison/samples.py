"""Find the first samples of a run in the checkout, DVC's cache or the figure in git, and encode them for a page."""

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from omokage.figures.samples import GAP, Layout
from omokage.figures.sheet import MARGIN, Images
from omokage.pipeline.dvc_run_cache import OBJECTS, find_cache
from omokage.provenance.history import History, Revision
from omokage.provenance.lineage import SAMPLES

FIGURE = "results/figures/samples.png"
MAX_GRID = 32  # tiles along a side of this figure
LOSSLESS, MAX_SIDE = 64, 128  # pixels of an image on a page up to which it is exact, and to which it is shrunk
# Pillow raises these for a file that is not an image, damaged or too large.
NO_IMAGE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def find_objects(history: History) -> Path:
    """Return the folder with the files of DVC's cache."""
    return find_cache(history.root) / OBJECTS


def read_samples(history: History, revision: Revision, objects: Path, md5: str, count: int) -> Images | None:
    """Return the first samples, uint8 [n, 3, h, w] with n up to `count`, of the file of samples with this MD5.

    `objects` is the folder from `find_objects`. Return None if neither the revision nor DVC's cache has the file.
    """
    try:
        content = history.read(revision, SAMPLES) or b""
        if hashlib.md5(content).hexdigest() == md5:
            return _check_images(load(content)["samples"][:count])
        with safe_open(objects / md5[:2] / md5[2:], framework="np") as file:
            samples = file.get_slice("samples")
            return _check_images(samples[: min(count, samples.get_shape()[0])])
    except (OSError, SafetensorError, LookupError, ValueError):
        return None


def _check_images(images: Images) -> Images:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError("expected images of shape [n, 3, h, w]")
    return images


def read_figure(history: History, revision: Revision, md5: str | None) -> bytes | None:
    """Return the figure of samples in a revision, or None if the figure with this MD5 is missing."""
    content = history.read(revision, FIGURE)
    return content if content is not None and hashlib.md5(content).hexdigest() == md5 else None


def cut_samples(figure: bytes, image_size: int, count: int) -> Images | None:
    """Return the first samples, uint8 [n, 3, h, w] with n up to `count`, of a figure of samples (a PNG).

    The figure enlarges images by a whole factor, so they are exact unless it is a palette image. Return None if the
    figure has another layout, as those of version 0.1 have.
    """
    try:
        with Image.open(io.BytesIO(figure)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except NO_IMAGE:
        return None
    if not 0 < image_size <= len(pixels):
        return None
    empty = np.empty((1, 3, image_size, image_size), np.uint8)
    for side in range(1, MAX_GRID + 1):
        layout = Layout.compute(empty, side)
        if pixels.shape[:2] == (layout.height + 2 * MARGIN, layout.width + 2 * MARGIN):
            corners = [divmod(index, side) for index in range(min(count, side * side))]
            step, top, factor = layout.tile + GAP, MARGIN + layout.head, layout.tile // image_size
            tiles = [
                pixels[top + row * step :, MARGIN + column * step :][: layout.tile, : layout.tile]
                for row, column in corners
            ]
            return np.stack([tile[::factor, ::factor].transpose(2, 0, 1) for tile in tiles])
    return None


def crop_grid(figure: bytes) -> Image.Image | None:
    """Return the left half of a figure of samples, which has the samples, or None if it is not an image."""
    try:
        with Image.open(io.BytesIO(figure)) as image:
            return image.convert("RGB").crop((0, 0, image.width // 2, image.height))
    except NO_IMAGE:
        return None


def encode_sample(image: Images) -> str:
    """Return the data URL of one sample, uint8 [3, h, w]: exact up to 64 pixels, otherwise compressed with loss."""
    return encode_webp(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))))


def encode_webp(image: Image.Image, max_side: int = MAX_SIDE) -> str:
    """Return the data URL of an image, shrunk to `max_side` pixels."""
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=max(image.size) <= LOSSLESS, quality=80, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
