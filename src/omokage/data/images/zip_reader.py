"""Read the zip of images written by the stage `download`. Each process opens the zip once."""

import functools
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from omokage.data.images.decode import UnusableImageError


def list_images(archive: Path) -> list[str]:
    """Return the names of the images in the zip, sorted."""
    return sorted(_open_archive(archive).namelist())


def read_image_file(archive: Path, name: str) -> bytes:
    """Return the bytes of the image file `name` in the zip. Raises UnusableImageError if they are damaged."""
    try:
        return _open_archive(archive).read(name)
    except (BadZipFile, EOFError, zlib.error):
        raise UnusableImageError("broken", ": damaged in the zip") from None


@functools.lru_cache(maxsize=1)
def _open_archive(archive: Path) -> ZipFile:
    return ZipFile(archive)
