"""Pictures read out of an untrusted zip in place: nothing is extracted, so no name and no link in it leads anywhere."""

import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EINVAL
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from omokage.data.pictures import LeftOut, named, too_large
from omokage.errors import Refused
from omokage.progress import progress

ENTRIES = 4_000_000  # of one zip, pictures or not
WHOLE = 256 * 2**30  # bytes of all its pictures
RATIO = 200  # bytes of pictures for one byte of the zip: more is a bomb,
HARMLESS = 64 * 2**20  # unless there are no more than these: a few plain pictures may pack that well

DAMAGED = LeftOut("damaged in the zip")

# What zipfile raises on bytes that are no sound zip.
BROKEN = (BadZipFile, EOFError, ValueError, OverflowError, NotImplementedError, struct.error, zlib.error)


class Damaged(Refused):
    """The zip is broken; another copy of it may not be."""


@dataclass(frozen=True)
class Listing:
    """What is in a zip: the pictures, as safe name and entry, and the other files with the reason; both in order."""

    pictures: list[tuple[str, ZipInfo]]
    left_out: list[tuple[str, LeftOut]]


def listed(path: Path, what: str) -> Listing:
    """Return what is in the zip at `path`; messages call it `what`.

    Only the headers are read. Links and devices are no pictures.
    Raises Damaged if it is no sound zip, and Refused if its pictures, or their bytes, are more than are taken.
    """
    with _damaged(what, f"{what} is a damaged zip: make or download it again"), ZipFile(path) as file:
        entries = file.infolist()
    if len(entries) > ENTRIES:
        raise Refused(f"{what} has {len(entries)} entries: expected at most {ENTRIES}; give a part of it")
    files: dict[str, ZipInfo] = {}
    others = []
    for entry in reversed(entries):  # of several entries of one name the last counts, as where a zip is unpacked
        if entry.filename.endswith("/"):
            continue
        if not _is_file(entry):
            others.append((entry.filename, "a link or device"))
        elif files.setdefault(entry.filename, entry) is not entry:
            others.append((entry.filename, "another entry of the zip has its name"))
    named_pictures, left_out = named(files, others)
    pictures = []
    for name, original in named_pictures:
        if why := _objection(files[original]):
            left_out.append((name, why))
        else:
            pictures.append((name, files[original]))
    total = sum(entry.file_size for _, entry in pictures)
    # Against the zip's own size, because entries may share their packed bytes.
    if total > WHOLE or total > max(HARMLESS, RATIO * path.stat().st_size):
        raise Refused(
            f"{what} would unpack to {total} bytes of pictures: expected at most {WHOLE}, and {RATIO} for each byte of "
            "the zip (more is a bomb); unpack what you trust of it and give that folder"
        )
    return Listing(pictures, left_out)


def read(path: Path, listing: Listing, what: str) -> Iterator[tuple[str, bytes | LeftOut]]:
    """Yield name and bytes of the pictures that `listed` found in the zip at `path`, after what is not taken.

    One whose bytes are not what the headers say is DAMAGED. Raises Refused if the zip cannot be read any more.
    """
    yield from listing.left_out
    with ZipFile(path) as file:
        for name, entry in progress(listing.pictures, "packing pictures", unit="picture"):
            try:
                with _damaged(what, ""), file.open(entry) as packed:
                    content = packed.read(entry.file_size)  # not all that it would inflate to
            except Damaged:
                content = b""
            yield name, content if len(content) == entry.file_size else DAMAGED


def _objection(entry: ZipInfo) -> LeftOut | None:
    """Return why a picture cannot be unpacked, if so."""
    # zipfile bounds what it inflates at once only for these two.
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or entry.flag_bits & 1:
        return LeftOut("encrypted, or packed in an uncommon way: make a plain zip")
    return too_large(entry.file_size)


@contextmanager
def _damaged(what: str, message: str) -> Iterator[None]:
    """Raise Damaged with the message for bytes that are no sound zip, and Refused where they cannot be had."""
    try:
        yield
    except OSError as error:
        if error.errno in (None, EINVAL):  # a seek to before the beginning
            raise Damaged(message) from error
        raise Refused(f"{what} cannot be read ({error.strerror}): see to that and run again") from error
    except BROKEN as error:
        raise Damaged(message) from error


def _is_file(entry: ZipInfo) -> bool:
    """Tell by the name, and by the Unix mode, which some zips leave out (is_dir fails on an empty name)."""
    return not entry.filename.endswith("/") and stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)
