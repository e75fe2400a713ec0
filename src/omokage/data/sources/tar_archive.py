"""List the files of an untrusted tar, which may be compressed with gzip."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tarfile import BLOCKSIZE, NUL, ReadError, TarFile, TarInfo
from typing import IO

from omokage.base.errors import UserError
from omokage.data.sources.collection import SkippedFile
from omokage.data.sources.container import (
    MAX_FILE_SIZE,
    Container,
    Entry,
    OpenEntry,
    check_count,
    convert_damage,
    limit_unpacked_size,
    reject_bomb,
    reject_duplicate_paths,
)

MAX_HEADER_SIZE = 2**20  # bytes that tarfile may read at once, such as a long name
SKIP_SIZE = 2**20  # bytes that are unpacked at once in order to skip them


class ForwardReader:
    """Reads a tar forwards only, within limits.

    Reading backwards would unpack a compressed tar again from its start. The headers of a hostile tar can ask for any
    number of bytes, or lead back to headers already read.
    """

    def __init__(self, stream: IO[bytes], max_size: int, error: UserError) -> None:
        """Read `stream`, and raise `error` after `max_size` bytes."""
        self.stream, self.max_size, self.error = stream, max_size, error
        self.position, self.max_read, self.last = 0, MAX_HEADER_SIZE, b""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, fewer at the end of the tar, and keep them in `last`."""
        if not 0 <= size <= self.max_read:
            raise ReadError(f"a header of {size} bytes")
        self.last = self.stream.read(size)
        self.position += len(self.last)
        if self.position > self.max_size:
            raise self.error
        return self.last

    def seek(self, position: int) -> None:
        """Skip the bytes before `position`."""
        if position < self.position:
            raise ReadError("a header that leads backwards")
        while self.position < position and self.read(min(SKIP_SIZE, position - self.position)):
            pass

    def tell(self) -> int:
        """Return the number of bytes read and skipped."""
        return self.position


def open_tar(path: Path, description: str, is_compressed: bool) -> Container:
    """Return the files in the tar at `path`. Links, devices and sparse files are skipped.

    Raises DamagedArchiveError if the tar is damaged or truncated, and UserError if it has too many entries, would
    unpack to too many bytes, or cannot be read.
    """
    kind = "tar.gz" if is_compressed else "tar"
    message = f"{description} is a damaged or truncated {kind}: create or download it again"
    limit = limit_unpacked_size(path.stat().st_size)

    @contextmanager
    def open_reader() -> Iterator[ForwardReader]:
        with convert_damage(description, message), path.open("rb") as file:
            stream: IO[bytes] = gzip.GzipFile(fileobj=file) if is_compressed else file  # type: ignore[assignment]
            yield ForwardReader(stream, limit, reject_bomb(description, limit))

    @contextmanager
    def open_files() -> Iterator[OpenEntry]:
        with open_reader() as reader:
            reader.max_read = MAX_FILE_SIZE

            def open_entry(entry: Entry) -> nullcontext[ForwardReader]:
                reader.seek(entry.handle)
                return nullcontext(reader)

            yield open_entry

    entries = []
    with open_reader() as reader:
        for member in _list_members(reader):
            if not member.isdir():
                entries.append(_describe_member(member))
            check_count(description, len(entries))
    return Container(
        description, reject_duplicate_paths(entries), open_files, is_archive=True, in_order=True, max_size=limit
    )


def _list_members(reader: ForwardReader) -> Iterator[TarInfo]:
    """Yield the members of the tar. Raises TarError if it is damaged, or has no end."""
    with TarFile(fileobj=reader, encoding="utf-8", errors="surrogateescape") as tar:  # type: ignore[arg-type]
        while (member := tar.next()) is not None:
            yield member
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep all of them in memory
    # tarfile stops without an error at a header that it cannot read.
    if reader.last != NUL * BLOCKSIZE:
        raise ReadError("no end")
    while reader.read(MAX_HEADER_SIZE):  # to the end of the gzip file, whose checksum is there
        pass


def _describe_member(member: TarInfo) -> Entry:
    path = member.name.encode("utf-8", "surrogateescape")
    if not member.isreg() or member.issparse():
        return Entry(path, skipped=SkippedFile("link", "a link, device or sparse file is not read"))
    return Entry(path, member.size, member.offset_data)
