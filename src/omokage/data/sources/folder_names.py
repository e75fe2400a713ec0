"""Check the names in the user's folder before DVC reads it. DVC stops at one that is not UTF-8, without naming it."""

import os
import shlex
from pathlib import Path

from omokage.base.errors import UserError


def check_names(folder: Path, parameter: str) -> None:
    """Raise UserError if a name in `folder` is not UTF-8; a zip or tar may hold such names.

    `parameter` is the value of the parameter `folder` in params.yaml.
    """
    wrong = [
        os.path.relpath(Path(root, name), folder)
        for root, folders, names in os.walk(folder)
        for name in (*folders, *names)
        if not _is_utf8(name)
    ]
    if wrong:
        first = os.fsencode(min(wrong)).decode("utf-8", "backslashreplace")
        raise UserError(
            f"folder = {parameter!r} has names that are not UTF-8 ({len(wrong)}, the first is {first}), at which DVC "
            "stops: pack the folder into a zip or tar and set folder to it, or rename the files (for Japanese names: "
            f"`convmv -r -f cp932 -t utf-8 --notest {shlex.quote(parameter)}`)"
        )


def _is_utf8(name: str) -> bool:
    """Return whether a name is UTF-8; other bytes are surrogates in it."""
    return not any("\udc80" <= letter <= "\udcff" for letter in name)
