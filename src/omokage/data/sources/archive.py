"""Open an archive of images, zip or tar, in place; any other file is refused with what it is and what to do."""

from pathlib import Path
from zipfile import is_zipfile

from omokage.base.errors import UserError
from omokage.data.images.formats import HEAD_SIZE, FileType, recognise
from omokage.data.sources.container import Container, DamagedArchiveError
from omokage.data.sources.tar_archive import open_tar
from omokage.data.sources.zip_archive import open_zip

EXPECTED = "expected a folder, a zip, a tar or a tar.gz of images"


def open_archive(path: Path, description: str) -> Container:
    """Return the files in the archive at `path`, whatever its name.

    `description` names it in messages. Raises DamagedArchiveError for a damaged archive and for a file that is not one,
    such as an error page. Raises UserError for an archive of another kind, exceeding a limit, or that cannot be read.
    """
    try:
        with path.open("rb") as file:
            file_type = recognise(file.read(HEAD_SIZE))
        is_tar = file_type.name in ("tar", "gzip file")  # its last file may be a zip
        is_zip = file_type.name == "zip" or (not is_tar and is_zipfile(path))  # a self-extracting program
    except OSError as error:
        raise UserError(f"{description} cannot be read ({error.strerror}): fix this and run again") from error
    if is_zip:
        return open_zip(path, description)
    if is_tar:
        return open_tar(path, description, is_compressed=file_type.name != "tar")
    message = f"{description} is {_describe(file_type)}"
    raise DamagedArchiveError(message) if file_type.kind == "other" else UserError(message)


def _describe(file_type: FileType) -> str:
    """Return what a file is, and what to do, for the message that refuses it."""
    if file_type.name == "part of a split zip":
        return (
            "a part of a split zip: join the parts with `zip -s 0 LAST_PART.zip --out whole.zip`, and set folder to it"
        )
    if file_type.kind == "archive":
        return f"a {file_type.name}: {EXPECTED}; unpack it, and set folder to the folder that contains its files"
    if "image" in file_type.kind:
        return f"a single image ({file_type.name}): {EXPECTED}; set folder to the folder that contains it"
    return f"neither a folder nor an archive ({file_type.name}): {EXPECTED}"
