"""Write zips and tars for tests."""

import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

TarMode = Literal["w", "w:gz"]


def write_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip of these files."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def write_tar(
    path: Path, files: dict[str, bytes], mode: TarMode = "w:gz", members: Iterable[tarfile.TarInfo] = ()
) -> Path:
    """Write a tar of these files, and of `members` without content."""
    with tarfile.open(path, mode) as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
        for member in members:
            file.addfile(member)
    return path
