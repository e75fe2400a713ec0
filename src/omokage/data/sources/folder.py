"""The user's own pictures: a folder with all below it, or a zip, which is read and never extracted."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

from omokage.data.pictures import EXTENSIONS, LARGEST, Collection, in_folder, is_picture, named
from omokage.errors import Refused
from omokage.progress import progress


def collect(path: Path, given: str) -> Collection:
    """Return the pictures in the folder or zip at `path`, which the user named `given`.

    Raises Refused if it is missing, neither of the two, or holds no picture. Only names with a picture's extension are
    taken, none hidden; whether they can be decoded is for later to see.
    """
    kinds = " ".join(extension.removeprefix(".") for extension in EXTENSIONS)
    if not path.exists():
        raise Refused(f"folder = {given!r} does not exist: expected a folder or zip of pictures ({kinds})")
    if path.is_dir():
        found = any(is_picture(file.relative_to(path).as_posix()) for file in path.rglob("*") if file.is_file())
        pictures = in_folder(path)
    elif is_zipfile(path):
        found = bool(_entries(path, given))
        pictures = _in_zip(path, given)
    else:
        raise Refused(f"folder = {given!r} is neither a folder nor a zip: expected one of them with pictures ({kinds})")
    if not found:
        raise Refused(f"folder = {given!r} holds no picture: put some there ({kinds}), or name another folder or zip")
    return Collection(name=Path(given).name or "pictures", version="", licences=(), pictures=pictures)


def _entries(path: Path, given: str) -> list[tuple[str, str]]:
    try:
        with ZipFile(path) as file:
            return named({entry.filename for entry in file.infolist() if not entry.is_dir()})
    except BadZipFile as error:
        raise Refused(f"folder = {given!r} is a damaged zip ({error}): make or download it again") from error


def _in_zip(path: Path, given: str) -> Iterator[tuple[str, bytes]]:
    with ZipFile(path) as file:
        for name, original in progress(_entries(path, given), "packing pictures", unit="picture"):
            entry = file.getinfo(original)
            if entry.file_size > LARGEST:  # zipfile never inflates more than this
                raise Refused(f"{name} has {entry.file_size} bytes: expected at most {LARGEST} a picture; take it out")
            try:
                content = file.read(entry)
            except (BadZipFile, EOFError, zlib.error) as error:
                raise Refused(f"{name} in {given!r} is damaged: make or download the zip again") from error
            except (RuntimeError, NotImplementedError) as error:
                raise Refused(f"{name} in {given!r} cannot be unpacked (encrypted?): make a plain zip") from error
            yield name, content
