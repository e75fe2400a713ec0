"""The commands of `omokage`, one module each: `add` tells the parser of it, `run` does it and returns the exit code."""

from pathlib import Path

from omokage.errors import Refused


def checkout() -> Path:
    """Return the checkout that the current folder lies in; raise Refused if it lies in none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            return folder
    raise Refused(f"{here} lies in no checkout of the pipeline: there is no dvc.yaml here or above; cd into one")
