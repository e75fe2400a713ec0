"""Collect the user's own images from a folder, a zip or a tar."""

from pathlib import Path

from omokage.base.errors import UserError
from omokage.data.sources.archive import EXPECTED, open_archive
from omokage.data.sources.collection import Collection
from omokage.data.sources.container import read_container
from omokage.data.sources.directory import open_folder


def collect(path: Path, parameter: str) -> Collection:
    """Return the images in the folder or archive at `path` as a collection.

    `parameter` is the value of the parameter `folder` in params.yaml. Images are recognised by content, and hidden
    files are skipped. Whether an image can be decoded is checked in a later stage. Raises UserError if `path` does not
    exist or is neither a folder nor an archive; iterating the files raises UserError if there are no images.
    """
    description = f"folder = {parameter!r}"
    if not path.exists():
        raise UserError(f"{description} does not exist: {EXPECTED}")
    container = (open_folder if path.is_dir() else open_archive)(path, description)
    files = read_container(container, "add some, or set another folder")
    return Collection(name=Path(parameter).name or "pictures", version="", licences=(), files=files)
