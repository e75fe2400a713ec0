"""Pictures read out of an untrusted zip in place: nothing is extracted, so no name and no link in it leads anywhere."""

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from omokage.data.pictures import LARGEST, LeftOut, named, safe_name
from omokage.errors import Refused
from omokage.progress import progress

ENTRIES = 4_000_000  # of one zip, pictures or not
WHOLE = 256 * 2**30  # bytes of all its pictures
RATIO = 200  # bytes of pictures for one byte of the zip: more is a bomb,
HARMLESS = 64 * 2**20  # unless there are no more than these: a few plain pictures may pack that well

# What zipfile raises on bytes that are no sound zip (OSError: it seeks to before the beginning).
BROKEN = (BadZipFile, EOFError, OSError, ValueError, OverflowError, NotImplementedError, struct.error, zlib.error)


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
    try:
        with ZipFile(path) as file:
            entries = file.infolist()
    except BROKEN as error:
        raise Damaged(f"{what} is a damaged zip: make or download it again") from error
    if len(entries) > ENTRIES:
        raise Refused(f"{what} has {len(entries)} entries: expected at most {ENTRIES}; give a part of it")
    files = {entry.filename: entry for entry in entries if _is_file(entry)}
    named_pictures, left_out = named(files)
    pictures = [(name, files[original]) for name, original in named_pictures]
    links = [entry.filename for entry in entries if not _is_file(entry) and not entry.filename.endswith("/")]
    left_out += [(safe_name(name), LeftOut("a link or device")) for name in sorted(links)]
    for name, entry in pictures:
        if entry.file_size > LARGEST:
            raise Refused(f"{name} has {entry.file_size} bytes: expected at most {LARGEST} a picture; take it out")
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

    Raises Damaged for one whose bytes are not what the headers say, Refused for one that cannot be unpacked.
    """
    yield from listing.left_out
    with ZipFile(path) as file:
        for name, entry in progress(listing.pictures, "packing pictures", unit="picture"):
            # zipfile bounds what it inflates at once only for these two.
            if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or entry.flag_bits & 1:
                raise Refused(f"{name} in {what} is encrypted or packed in an uncommon way: make a plain zip")
            try:
                with file.open(entry) as packed:
                    content = packed.read(entry.file_size)  # not all that it would inflate to
            except BROKEN as error:
                raise Damaged(f"{name} in {what} is damaged: make or download the zip again") from error
            if len(content) != entry.file_size:
                raise Damaged(f"{name} in {what} is damaged: make or download the zip again")
            yield name, content


def _is_file(entry: ZipInfo) -> bool:
    """Tell by the name, and by the Unix mode, which some zips leave out (is_dir fails on an empty name)."""
    return not entry.filename.endswith("/") and stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)
