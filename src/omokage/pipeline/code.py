"""List and hash the code files that a stage depends on, and find the modules that a process has loaded."""

import sys
from pathlib import Path, PurePath

from omokage.base.files import hash_file, hash_files

# As in .dvcignore. No stage uses what an __init__.py holds, so it cannot change a result.
SUFFIXES = (".py", ".j2", ".css", ".js", ".json")
EXEMPT = "__init__.py"


def list_code(root: Path, dep: str) -> list[Path]:
    """Return the code files, sorted, in `dep`: a file or folder under src/ that a stage declares in its deps."""
    declared = root / dep
    files = [declared] if declared.is_file() else declared.rglob("*")
    return sorted(path for path in files if is_code(path.relative_to(root)) and path.is_file())


def is_code(path: PurePath) -> bool:
    """Return whether a file counts as code, as `.dvcignore` decides, judged by its path relative to the checkout."""
    is_hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix in SUFFIXES and path.name != EXEMPT and not is_hidden


def hash_code(root: Path, dep: str) -> str:
    """Return the sha256 of the code in `dep`, a file or folder under src/ that a stage declares in its deps."""
    declared = root / dep
    return hash_files(declared, list_code(root, dep)) if declared.is_dir() else hash_file(declared)


def is_declared(path: str, declared: tuple[str, ...]) -> bool:
    """Return whether a stage with the code deps `declared` may load the file `path`; any __init__.py is allowed."""
    return path.endswith(f"/{EXEMPT}") or any(path == dep or path.startswith(f"{dep}/") for dep in declared)


def find_loaded_modules(root: Path) -> dict[str, str]:
    """Return the file of each of the project's modules that this process has loaded, by module name.

    Paths are relative to the checkout `root`. A module from outside the checkout has an absolute path.
    """
    files, top = {}, root.resolve()
    for name, module in list(sys.modules.items()):
        is_omokage = name == "omokage" or name.startswith("omokage.")
        if is_omokage and (file := getattr(module, "__file__", None)):
            # A checkout may be reached through a symbolic link, in PYTHONPATH but not in the current folder.
            path = Path(file).resolve()
            files[name] = (path.relative_to(top) if path.is_relative_to(top) else path).as_posix()
    return files
