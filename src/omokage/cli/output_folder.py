"""Check the folder that a command will write, and put it in place when it is complete.

A folder is replaced only with `--force`, and only if it holds nothing but the files of an earlier export.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from omokage.base.errors import UserError
from omokage.base.files import PARTIAL, remove
from omokage.cli.output_file import check_output_folder
from omokage.export.files import CONFIG, FILES, VERSION_KEY


def check_new_folder(path: Path, force: bool) -> Path:
    """Return the folder that `path` refers to, with links resolved; raise UserError if it must not be written."""
    try:
        target = check_output_folder(path, [])
    except UserError as error:
        # The folder is an argument of the command, and not an option.
        raise UserError(str(error).replace(" with --out", "")) from error
    if target.exists():
        if found := _find_foreign(target):
            raise UserError(
                f"{path} exists and has {found}, which no export wrote: choose another folder, or move the file"
            )
        if not force:
            raise UserError(f"{path} exists: replace this earlier export with --force, or choose another folder")
    return target


def _find_foreign(folder: Path) -> str | None:
    """Return the name of a file that is not of an export, or None if the folder is empty or an earlier export."""
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir())
    if foreign := [name for name in names if name not in FILES]:
        return foreign[0]
    with suppress(OSError, ValueError, TypeError):
        if VERSION_KEY in json.loads((folder / CONFIG).read_text(encoding="utf-8")):
            return None
    return names[0] if names else None


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder next to `target`; on success it becomes `target`, whose earlier content is removed.

    If the block raises an exception, the new folder is removed, and `target` stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    new, old = (target.with_name(f"{PARTIAL}{uuid4().hex}-{target.name}") for _ in range(2))
    new.mkdir()
    try:
        yield new
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    finally:
        remove(new)
    remove(old)
