"""Find the checkout that a command works on."""

from pathlib import Path

from omokage.base.errors import UserError


def find_checkout() -> Path:
    """Return the checkout (a folder with dvc.yaml) that contains the current folder. Raises UserError if none does."""
    current = Path.cwd()
    for folder in (current, *current.parents):
        if (folder / "dvc.yaml").is_file():
            return folder
    raise UserError(
        f"{current} is not inside a checkout: found no dvc.yaml in this folder or above; run the command in a checkout"
    )
