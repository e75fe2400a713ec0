"""List the files of a folder."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omokage.data.sources.collection import SkippedFile
from omokage.data.sources.container import Container, Entry, OpenEntry


def open_folder(folder: Path, description: str) -> Container:
    """Return the files in `folder` and its subfolders. Links to files are followed, links to folders are not."""
    entries: list[Entry] = []

    def skip(path: Path, kind: str, detail: str) -> None:
        entries.append(Entry(os.fsencode(path.relative_to(folder)), skipped=SkippedFile(kind, detail)))

    def skip_folder(error: OSError) -> None:
        skip(Path(error.filename), "unreadable", f"a folder ({error.strerror})")

    for root, folders, names in os.walk(folder, onerror=skip_folder):
        for path in (Path(root, name) for name in names):
            try:
                status = path.stat()
            except OSError as error:
                skip(path, "unreadable", str(error.strerror))
                continue
            if stat.S_ISREG(status.st_mode):
                entries.append(Entry(os.fsencode(path.relative_to(folder)), status.st_size, path))
            else:
                skip(path, "unreadable", "no regular file")
        for path in (Path(root, name) for name in folders):
            if path.is_symlink():
                skip(path, "link", "to a folder, which is not followed")

    @contextmanager
    def open_files() -> Iterator[OpenEntry]:
        yield lambda entry: entry.handle.open("rb")

    return Container(description, entries, open_files)
