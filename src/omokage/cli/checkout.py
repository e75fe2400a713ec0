"""Find the checkout that a command works on, and say what it lacks."""

from collections.abc import Sequence
from pathlib import Path

from omokage.base.errors import UserError

MAX_LISTED = 4


def find_checkout() -> Path:
    """Return the checkout (a folder with dvc.yaml) that contains the current folder. Raises UserError if none does."""
    current = Path.cwd()
    for folder in (current, *current.parents):
        if (folder / "dvc.yaml").is_file():
            return folder
    raise UserError(
        f"{current} is not inside a checkout: found no dvc.yaml in this folder or above; run the command in a checkout"
    )


def list_first(items: Sequence[str]) -> str:
    """Return the first MAX_LISTED items as text, and the number of further items."""
    more = f" and {len(items) - MAX_LISTED} more" if len(items) > MAX_LISTED else ""
    return ", ".join(items[:MAX_LISTED]) + more


def describe_absent(outputs: Sequence[str]) -> str:
    """Return one line about outputs that the checkout lacks and DVC may fetch."""
    return f"not in this checkout: {list_first(outputs)}: run `dvc pull` or `dvc repro`"
