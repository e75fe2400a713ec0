"""Collect the user's own images from a folder or a zip.

A zip is read in place and never extracted.
"""

from pathlib import Path
from zipfile import is_zipfile

from omokage.base.errors import UserError
from omokage.data.sources import archive
from omokage.data.sources.collection import EXTENSIONS, Collection, Files, list_folder, read_folder, summarise_skipped


def collect(path: Path, parameter: str) -> Collection:
    """Return the images in the folder or zip at `path` as a collection.

    `parameter` is the value of the parameter `folder` in params.yaml. Files are selected by their extension, and hidden
    files are skipped. Whether the files can be decoded is checked in a later stage. Raises UserError if `path` does not
    exist, is neither a folder nor a zip, or has no images.
    """
    extensions = " ".join(extension.removeprefix(".") for extension in EXTENSIONS)
    description = f"folder = {parameter!r}"
    if not path.exists():
        raise UserError(f"{description} does not exist: expected a folder or zip of images ({extensions})")
    if path.is_dir():
        images, skipped = list_folder(path)
        files: Files = read_folder(path)
    elif is_zipfile(path):
        listing = archive.list_archive(path, description)
        images, skipped = [(name, entry.filename) for name, entry in listing.images], listing.skipped
        files = archive.read_archive(path, listing, description)
    else:
        raise UserError(
            f"{description} is neither a folder nor a zip: expected a folder or zip of images ({extensions})"
        )
    if not images:
        raise UserError(
            f"{description} has no images{summarise_skipped(skipped)}: add some ({extensions}), or set another folder"
        )
    return Collection(name=Path(parameter).name or "pictures", version="", licences=(), files=files)
