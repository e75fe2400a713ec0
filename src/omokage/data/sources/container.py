"""Read the images of a folder or an archive in place: choose them by content, and leave out all other files.

No archive is extracted, so the names and links in it cannot do harm.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from errno import EINVAL
from tarfile import TarError
from typing import Any, Protocol
from zipfile import BadZipFile

from omokage.base.errors import UserError
from omokage.base.progress import show_progress
from omokage.data.images.formats import FORMAT_WORDS, HEAD_SIZE, FileType, recognise
from omokage.data.sources.collection import SkippedFile, summarise_skipped
from omokage.data.sources.names import assign_names, decode_names, is_hidden

# A file with such a name is meant as an image, so that it counts as broken if it is none.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".mpo")
MAX_FILE_SIZE = 256 * 2**20  # bytes
MAX_IMAGES = 2_000_000  # in one data set
MAX_TOTAL_SIZE = 256 * 2**30  # bytes of all images of a data set
MAX_ENTRIES = 4_000_000  # of one archive, including files that are not images
MAX_RATIO = 200  # unpacked bytes per byte of an archive; a higher ratio suggests a bomb
RATIO_EXEMPT_SIZE = 64 * 2**20  # bytes; smaller totals may have a higher ratio: a few plain images compress that well

DAMAGED = SkippedFile("damaged", "its bytes are not those that were packed")
# What zipfile and tarfile raise for damaged archives.
DAMAGE = (
    BadZipFile,
    TarError,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RecursionError,
    struct.error,
    zlib.error,
)


class DamagedArchiveError(UserError):
    """The archive is damaged. Another download of the same archive may be intact."""


@dataclass(frozen=True, slots=True)  # there may be millions
class Entry:
    """A file in a folder or an archive: its path, its size in bytes, and what the archive needs to open it.

    `skipped` is set if the file cannot be read.
    """

    path: bytes
    size: int = 0
    handle: Any = None
    skipped: SkippedFile | None = None


class Readable(Protocol):
    """A file that can be read forwards."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, fewer at the end of the file."""


OpenEntry = Callable[[Entry], AbstractContextManager[Readable]]


@dataclass(frozen=True)
class Container:
    """A folder or an archive.

    `description` names it in messages. `open` prepares it for reading and gives the function that opens a file. With
    `in_order` the files can only be read in the order of `entries`. `max_size` limits the bytes of its images.
    """

    description: str
    entries: Sequence[Entry]
    open: Callable[[], AbstractContextManager[OpenEntry]]
    is_archive: bool = False
    in_order: bool = False
    max_size: int = MAX_TOTAL_SIZE


@contextmanager
def convert_damage(description: str, message: str) -> Iterator[None]:
    """Raise DamagedArchiveError with `message` if an archive is damaged, and UserError if it cannot be read."""
    try:
        yield
    except OSError as error:
        if error.errno in (None, EINVAL):  # damaged: for example, zipfile seeks to before the start of the file
            raise DamagedArchiveError(message) from error
        raise UserError(f"{description} cannot be read ({error.strerror}): fix this and run again") from error
    except DAMAGE as error:
        raise DamagedArchiveError(message) from error


def reject_duplicate_paths(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of an archive; of several files with one path, all but the last are skipped, as in unzip."""
    last = {entry.path: index for index, entry in enumerate(entries) if not entry.skipped}
    duplicate = SkippedFile("duplicate name", "a later file of the archive has its name")
    return [
        entry if entry.skipped or last[entry.path] == index else replace(entry, skipped=duplicate)
        for index, entry in enumerate(entries)
    ]


def check_count(description: str, count: int) -> None:
    """Raise UserError if an archive has more than MAX_ENTRIES entries."""
    if count > MAX_ENTRIES:
        raise UserError(f"{description} has more than {MAX_ENTRIES} entries: use a smaller archive")


def limit_unpacked_size(packed_size: int) -> int:
    """Return the limit on the unpacked bytes of an archive of `packed_size` bytes."""
    return min(MAX_TOTAL_SIZE, max(RATIO_EXEMPT_SIZE, MAX_RATIO * packed_size))


def reject_bomb(description: str, limit: int) -> UserError:
    """Return the error for an archive that unpacks to more than `limit` bytes."""
    return UserError(
        f"{description} would unpack to more than {limit} bytes: expected at most {MAX_TOTAL_SIZE}, and at most "
        f"{MAX_RATIO} for each byte of the archive (it may be a zip bomb); unpack the files that you trust, and set "
        "folder to the folder that contains them"
    )


def read_container(container: Container, remedy: str) -> Iterator[tuple[str, bytes | SkippedFile]]:
    """Yield (name, bytes) for each image in the container, and (name, SkippedFile) for each other file.

    Names are distinct and safe (see `sanitise_name`), and sorted unless the files must be read in order. An image is
    recognised by its first bytes; whether it can be decoded is checked in a later stage. Raises UserError, which names
    `remedy`, if there is no image; DamagedArchiveError if all images are damaged; and UserError if a limit is exceeded.
    """
    paths = decode_names([entry.path for entry in container.entries])
    is_skipped = [entry.skipped is not None for entry in container.entries]
    names = assign_names(list(zip(is_skipped, paths, strict=True)))
    files = list(zip(names, container.entries, strict=True))
    if not container.in_order:
        files.sort(key=lambda file: file[0])
    count, size = 0, 0
    skipped: Counter[SkippedFile] = Counter()
    with container.open() as open_entry:
        for name, entry in show_progress(files, "packing images", unit="file"):
            content = _read_entry(container, open_entry, name, entry)
            if isinstance(content, SkippedFile):
                skipped[content] += 1
            else:
                count, size = count + 1, size + len(content)
                if size > container.max_size:
                    raise reject_bomb(container.description, container.max_size)
                if count > MAX_IMAGES:
                    raise UserError(f"{container.description} holds more than {MAX_IMAGES} images: remove some")
            yield name, content
    if not count:
        reasons = Counter({file.reason: count for file, count in skipped.items()})
        details = f" ({summarise_skipped(reasons)})" if reasons else ""
        message = f"{container.description} holds no image{details}: {remedy}; expected {FORMAT_WORDS}"
        are_damaged = {file for file in skipped if file.may_be_image} == {DAMAGED}
        raise DamagedArchiveError(message) if are_damaged else UserError(message)


def _read_entry(container: Container, open_entry: OpenEntry, name: str, entry: Entry) -> bytes | SkippedFile:
    """Return the bytes of an image, or why the file is skipped; of other files only the first bytes are read."""
    if is_hidden(name):
        return SkippedFile("hidden")
    if entry.skipped:
        return entry.skipped
    try:
        with open_entry(entry) as stream:
            head = stream.read(min(HEAD_SIZE, entry.size))
            if reason := _reject_type(name, recognise(head)):
                return reason
            if entry.size > MAX_FILE_SIZE:
                return SkippedFile("too large", f"more than {MAX_FILE_SIZE} bytes")
            content = head + stream.read(entry.size - len(head))
    except DAMAGE:
        return DAMAGED
    except OSError as error:
        if container.is_archive and error.errno in (None, EINVAL):
            return DAMAGED
        if container.is_archive:
            raise
        return SkippedFile("unreadable", str(error.strerror))
    return content if len(content) == entry.size else DAMAGED


def _reject_type(name: str, file_type: FileType) -> SkippedFile | None:
    """Return why a file with this content is skipped, or None for an image."""
    if file_type.kind == "image":
        return None
    if file_type.kind == "unsupported image":
        return SkippedFile("unsupported format", f"{file_type.name}, convert it to PNG or JPEG")
    if name.lower().endswith(IMAGE_SUFFIXES):
        return SkippedFile("broken", f"{file_type.name} instead of an image")
    if file_type.kind == "archive":
        return SkippedFile("archive", f"{file_type.name} inside the data set is not opened, unpack it")
    return SkippedFile("not an image", file_type.name)
