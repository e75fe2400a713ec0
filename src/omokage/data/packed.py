"""The zip of pictures that `download` makes, read in any process."""

import functools
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from omokage.data.decode import UnusableError


def names(archive: Path) -> list[str]:
    """Return the names of the pictures, sorted."""
    return sorted(_opened(archive).namelist())


def content(archive: Path, name: str) -> bytes:
    """Return the bytes of a picture's file; raise UnusableError if they are damaged."""
    try:
        return _opened(archive).read(name)
    except (BadZipFile, EOFError, zlib.error):
        raise UnusableError("broken", ": damaged in the zip") from None


@functools.lru_cache(maxsize=1)
def _opened(archive: Path) -> ZipFile:
    return ZipFile(archive)
