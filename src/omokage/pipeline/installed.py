"""The versions of the installed packages."""

from importlib.metadata import version


def get_release(distribution: str) -> str:
    """Return the installed version without its local part: 2.14.1 for torch 2.14.1+cpu, a build of the same release.

    Raises importlib.metadata.PackageNotFoundError if the distribution is not installed.
    """
    return version(distribution).partition("+")[0]
