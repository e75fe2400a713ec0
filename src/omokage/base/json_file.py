"""Read JSON files, and say how to restore a file that a merge or an interrupted write has damaged."""

import json
import re
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError

CONFLICT_MARKER = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. Raises UserError, with the file and the way out, if the file is damaged."""
    current = Path.cwd()
    name = path.relative_to(current) if path.is_relative_to(current) else path
    return parse_json(path.read_bytes(), str(name))


def parse_json(content: bytes, name: str) -> Any:
    """Return the value in the bytes of a JSON file. Raises UserError, which calls the file `name`, if it is damaged."""
    text = content.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(explain_damage(text, name, f"is not valid JSON ({error})")) from error


def explain_damage(text: str, name: str, problem: str = "is damaged") -> str:
    """Return a message for a damaged file with the content `text`: the `problem`, or a merge conflict, and what to do.

    `name` is a path for the command `git checkout`.
    """
    if CONFLICT_MARKER.search(text):
        return (
            f"{name} has the conflict markers of a merge: run `git checkout --ours {name}` or "
            f"`git checkout --theirs {name}`, then `dvc repro`"
        )
    return f"{name} {problem}: restore it with `git checkout -- {name}`, or remove it and run `dvc repro`"
