"""List the files of an untrusted zip."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from omokage.base.errors import UserError
from omokage.data.sources.collection import SkippedFile
from omokage.data.sources.container import (
    Container,
    DamagedArchiveError,
    Entry,
    OpenEntry,
    check_count,
    convert_damage,
    limit_unpacked_size,
    reject_duplicate_paths,
)

END_RECORD, END_RECORD_SIZE, MAX_COMMENT_SIZE = b"PK\5\6", 22, 2**16  # the record, its bytes, and those after it
UTF8_FLAG, ENCRYPTED_FLAG = 0x800, 1


def open_zip(path: Path, description: str) -> Container:
    """Return the files in the zip at `path`.

    Links, devices and files that are packed in an uncommon way are skipped. Raises DamagedArchiveError if the zip is
    damaged, and UserError if it is a part of a split zip, has more than MAX_ENTRIES entries or cannot be read.
    """
    message = f"{description} is a damaged zip: create or download it again"
    with convert_damage(description, message):
        _check_end(path, description)
        with ZipFile(path) as file:
            infos = file.infolist()
    check_count(description, len(infos))

    @contextmanager
    def open_files() -> Iterator[OpenEntry]:
        with convert_damage(description, message), ZipFile(path) as file:
            yield lambda entry: file.open(entry.handle)

    limit = limit_unpacked_size(path.stat().st_size)
    return Container(description, _list_entries(infos), open_files, is_archive=True, max_size=limit)


def _check_end(path: Path, description: str) -> None:
    """Raise an error that says so if the zip is truncated, or the last part of a split zip."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_RECORD_SIZE - MAX_COMMENT_SIZE))
        end = file.read()
    start = end.rfind(END_RECORD)
    if start < 0:
        raise DamagedArchiveError(f"{description} is a truncated zip, its end is missing: download or copy it again")
    number_of_this_disk = int.from_bytes(end[start + 4 : start + 6], "little")
    if number_of_this_disk not in (0, 0xFFFF):  # 0xFFFF: the number is in the zip64 record, which zipfile checks
        raise UserError(
            f"{description} is the last of {number_of_this_disk + 1} parts of a split zip: join them with "
            f"`zip -s 0 {path.name} --out whole.zip`, and set folder to the result"
        )


def _list_entries(infos: list[ZipInfo]) -> list[Entry]:
    entries = []
    for info in infos:
        # zipfile decodes a name as cp437 unless it is marked as UTF-8. Every byte has a character in cp437.
        path = info.orig_filename.encode("utf-8" if info.flag_bits & UTF8_FLAG else "cp437")
        if not path.endswith(b"/"):
            entries.append(Entry(path, info.file_size, info, _reject_entry(info)))
    return reject_duplicate_paths(entries)


def _reject_entry(info: ZipInfo) -> SkippedFile | None:
    """Return why an entry is skipped, or None if it is a file that can be unpacked."""
    # In some zips the Unix mode is 0 for all files.
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return SkippedFile("link", "a link or device is not followed")
    if info.flag_bits & ENCRYPTED_FLAG:
        return SkippedFile("unreadable", "encrypted, make a zip without a password")
    # zipfile limits the bytes that it unpacks at once only for these two methods.
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return SkippedFile("unreadable", "packed in an uncommon way, make a plain zip")
    return None
