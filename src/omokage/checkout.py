"""Where the main checkout lies, as seen from a run in it or in one of its experiments' temporary copies."""

from pathlib import Path


def main_checkout(start: Path) -> Path:
    """Return the outermost folder whose `.dvc/tmp/exps`, where DVC copies experiments, holds `start`, else `start`."""
    start = start.absolute()
    for folder in reversed(start.parents):
        if start.is_relative_to(folder / ".dvc" / "tmp" / "exps"):
            return folder
    return start
