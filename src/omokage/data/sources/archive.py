"""Read images from an untrusted zip in place.

No file is extracted, so the names and links in the zip cannot do harm.
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EINVAL
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from omokage.base.errors import UserError
from omokage.base.progress import show_progress
from omokage.data.sources.collection import SkippedFile, assign_names, reject_size

MAX_ENTRIES = 4_000_000  # of one zip, including files that are not images
MAX_TOTAL_SIZE = 256 * 2**30  # bytes of all its images, unpacked
MAX_RATIO = 200  # unpacked bytes per byte of the zip; a higher ratio suggests a zip bomb
RATIO_EXEMPT_SIZE = 64 * 2**20  # bytes; smaller totals may have a higher ratio: a few plain images compress that well

DAMAGED = SkippedFile("damaged in the zip")

# What zipfile raises for damaged zips.
ZIP_ERRORS = (BadZipFile, EOFError, ValueError, OverflowError, NotImplementedError, struct.error, zlib.error)


class DamagedArchiveError(UserError):
    """The zip is damaged. Another download of the same zip may be intact."""


@dataclass(frozen=True)
class ArchiveListing:
    """The images and the skipped files in a zip, both sorted by name.

    `images` are pairs (sanitised name, zip entry), and `skipped` are pairs (sanitised name, SkippedFile). For sanitised
    names see `sanitise_name`.
    """

    images: list[tuple[str, ZipInfo]]
    skipped: list[tuple[str, SkippedFile]]


def list_archive(path: Path, description: str) -> ArchiveListing:
    """Return the images and the skipped files in the zip at `path`, from its headers.

    Links and devices are skipped. `description` names the zip in messages. Raises DamagedArchiveError if the zip is
    damaged, and UserError if it cannot be read or exceeds a limit on its entries or unpacked bytes.
    """
    message = f"{description} is a damaged zip: create or download it again"
    with _convert_errors(description, message), ZipFile(path) as file:
        entries = file.infolist()
    if len(entries) > MAX_ENTRIES:
        raise UserError(f"{description} has {len(entries)} entries: expected at most {MAX_ENTRIES}; use a smaller zip")
    files: dict[str, ZipInfo] = {}
    rejected = []
    for entry in reversed(entries):  # the last of several entries with one name counts, as in unzip
        if entry.filename.endswith("/"):
            continue
        if not _is_regular_file(entry):
            rejected.append((entry.filename, "a link or device"))
        elif files.setdefault(entry.filename, entry) is not entry:
            rejected.append((entry.filename, "another entry of the zip has its name"))
    named_images, skipped = assign_names(files, rejected)
    images = []
    for name, original in named_images:
        if reason := _reject_entry(files[original]):
            skipped.append((name, reason))
        else:
            images.append((name, files[original]))
    # The ratio uses the size of the zip file, because entries may share their packed bytes.
    total = sum(entry.file_size for _, entry in images)
    if total > MAX_TOTAL_SIZE or total > max(RATIO_EXEMPT_SIZE, MAX_RATIO * path.stat().st_size):
        raise UserError(
            f"{description} would unpack to {total} bytes of images: expected at most {MAX_TOTAL_SIZE}, and at most "
            f"{MAX_RATIO} for each byte of the zip (it may be a zip bomb); unpack the files that you trust, and set "
            "folder to the folder that contains them"
        )
    return ArchiveListing(images, skipped)


def read_archive(path: Path, listing: ArchiveListing, description: str) -> Iterator[tuple[str, bytes | SkippedFile]]:
    """Yield (name, SkippedFile) for skipped files of `listing`, then (name, bytes) for images in the zip at `path`.

    An image is skipped as DAMAGED if its size or checksum differs from its header. Raises UserError if the zip cannot
    be read.
    """
    yield from listing.skipped
    with ZipFile(path) as file:
        for name, entry in show_progress(listing.images, "packing images", unit="image"):
            try:
                with _convert_errors(description, ""), file.open(entry) as packed:
                    content = packed.read(entry.file_size)  # limited by the size in the header
            except DamagedArchiveError:
                content = b""
            yield name, content if len(content) == entry.file_size else DAMAGED


def _reject_entry(entry: ZipInfo) -> SkippedFile | None:
    """Return why the image in this entry is skipped, or None if it can be unpacked."""
    # zipfile limits the bytes that it unpacks at once only for these two methods.
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or entry.flag_bits & 1:
        return SkippedFile("encrypted, or packed in an uncommon way: make a plain zip")
    return reject_size(entry.file_size)


@contextmanager
def _convert_errors(description: str, message: str) -> Iterator[None]:
    """Raise DamagedArchiveError with `message` if the zip is damaged, and UserError if it cannot be read."""
    try:
        yield
    except OSError as error:
        if error.errno in (None, EINVAL):  # a damaged zip made zipfile seek to before the start of the file
            raise DamagedArchiveError(message) from error
        raise UserError(f"{description} cannot be read ({error.strerror}): fix this and run again") from error
    except ZIP_ERRORS as error:
        raise DamagedArchiveError(message) from error


def _is_regular_file(entry: ZipInfo) -> bool:
    """Return whether an entry is a regular file.

    The name and the Unix mode decide; in some zips the mode is 0 for all files.
    """
    # ZipInfo.is_dir fails on an empty name.
    return not entry.filename.endswith("/") and stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)
