"""Find the main checkout (the user's clone), also from the temporary copy in which DVC runs an experiment."""

from pathlib import Path

# Prefix in dvc.yaml of paths relative to the main checkout. .dvc/config.local holds the path of the main checkout.
REMOTE = "remote://checkout/"


def find_main_checkout(start: Path) -> Path:
    """Return the main checkout of `start`, which is a checkout or one of DVC's temporary copies.

    DVC copies a checkout to a folder below its `.dvc/tmp/exps` to run an experiment there. If `start` is below such a
    folder, the outermost checkout that contains it is returned, otherwise `start`.
    """
    start = start.absolute()
    for folder in reversed(start.parents):
        if start.is_relative_to(folder / ".dvc" / "tmp" / "exps"):
            return folder
    return start


def local_folder(root: Path) -> Path:
    """Return the folder of locks and files that belong to this checkout or temporary experiment alone."""
    return root / ".dvc" / "tmp" / "omokage"


def work_folder(root: Path) -> Path:
    """Return the folder for locks, logs and partial results of the checkout `root`.

    The folder lies in the main checkout, because DVC deletes the temporary copy when an experiment ends.
    """
    return local_folder(find_main_checkout(root))
