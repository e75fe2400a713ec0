"""The user's own pictures: a folder with all below it, or a zip, which is read and never extracted."""

from pathlib import Path
from zipfile import is_zipfile

from omokage.data import archive
from omokage.data.pictures import EXTENSIONS, Collection, Files, in_folder, listed, tally
from omokage.errors import Refused


def collect(path: Path, given: str) -> Collection:
    """Return the pictures in the folder or zip at `path`, which the user named `given`.

    Raises Refused if it is missing, neither of the two, or holds no picture. Only names with a picture's extension are
    taken, none hidden, and the others left out; whether they can be decoded is for later to see.
    """
    kinds = " ".join(extension.removeprefix(".") for extension in EXTENSIONS)
    what = f"folder = {given!r}"
    if not path.exists():
        raise Refused(f"{what} does not exist: expected a folder or zip of pictures ({kinds})")
    if path.is_dir():
        found, left_out = listed(path)
        files: Files = in_folder(path)
    elif is_zipfile(path):
        listing = archive.listed(path, what)
        found, left_out = [(name, entry.filename) for name, entry in listing.pictures], listing.left_out
        files = archive.read(path, listing, what)
    else:
        raise Refused(f"{what} is neither a folder nor a zip: expected one of them with pictures ({kinds})")
    if not found:
        raise Refused(
            f"{what} holds no picture{tally(left_out)}: put some there ({kinds}), or name another folder or zip"
        )
    return Collection(name=Path(given).name or "pictures", version="", licences=(), files=files)
