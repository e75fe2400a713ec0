"""Compute SHA-256 digests of files and folders, write files atomically, and remove files."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest, sha256
from pathlib import Path
from uuid import uuid4

# Prefix of the names of unfinished files. Git and `omokage audit` ignore files with this prefix.
PARTIAL = ".partial-"


def hash_bytes(content: bytes) -> str:
    """Return the sha256 of some bytes, in hexadecimal."""
    return sha256(content).hexdigest()


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def hash_tree(path: Path) -> str:
    """Return the sha256 of a file, or of the names and contents of all files below a folder.

    In a folder, a file that cannot be read counts by its name only. The stage `download` skips and reports such files.
    """
    if path.is_dir():
        return hash_files(path, [entry for entry in path.rglob("*") if entry.is_file()])
    return hash_file(path)


def hash_files(folder: Path, files: list[Path]) -> str:
    """Return the sha256 of the contents of `files` and of their paths relative to `folder`.

    All files must lie below `folder`. A file that cannot be read counts by its path only.
    """
    tree = sha256()
    for path in sorted(files):
        try:
            content = hash_file(path)
        except OSError:
            content = "unreadable"
        tree.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return tree.hexdigest()


def partial_path(path: Path) -> Path:
    """Return the temporary path at which the file or folder `path` is written until it is complete.

    Every process gets the same temporary path, whereas `write_atomically` uses a new one for each call.
    """
    return path.with_name(f"{PARTIAL}{path.name}")


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success, move the file written there to `path`.

    If the block raises an exception, the temporary file is removed. Its name is random, because jobs on two nodes may
    write to the same folder and have the same process id.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{PARTIAL}{uuid4().hex}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with write_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its contents, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
