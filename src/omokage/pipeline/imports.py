"""Find the project's files and the distributions that a stage imports, directly or indirectly."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from omokage.pipeline.graph import CODE
from omokage.pipeline.installed import get_release

# Listed for a stage even if only another distribution requires them, since their versions can change pixels or sums.
NUMERIC = ("numpy", "pillow", "scipy", "torch", "torchvision")


def find_imports(root: Path, stage: str) -> tuple[list[str], list[str]]:
    """Return the project's files, relative to the checkout, and the external top-level modules that `stage` imports.

    Indirect imports and imports inside functions count. An __init__.py does not: no stage uses what it holds.
    """
    files: set[str] = set()
    external: set[str] = set()
    queue = [f"omokage.stages.{stage}"]
    if stage != "params":
        queue.append(f"omokage.params.{stage}")
    while queue:
        module = queue.pop()
        path = _find_file(root, module)
        if path is None:
            if module.partition(".")[0] not in {*sys.stdlib_module_names, "omokage"}:
                external.add(module.partition(".")[0])
            continue
        relative = path.relative_to(root).as_posix()
        if relative not in files:
            files.add(relative)
            queue += _list_imports(path)
    return sorted(files), sorted(external)


def _find_file(root: Path, module: str) -> Path | None:
    path = (root / CODE / Path(*module.split("."))).with_suffix(".py")
    return path if path.is_file() else None


def _list_imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports; for `from package import name` also `package.name`, a possible module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def find_distributions(modules: list[str]) -> dict[str, str]:
    """Return the distributions that provide the top-level `modules`, with their installed versions.

    Includes the distributions in NUMERIC that these require, directly or indirectly.
    """
    by_module = _map_modules_to_distributions()
    # The map lacks packages that hold only data files, such as dicebear_styles: those are named after their module.
    names = {name for module in modules for name in by_module.get(module, [module.replace("_", "-")])}
    names |= {required for required in NUMERIC if any(required in _list_requirements(name) for name in names)}
    return {name: get_release(name) for name in sorted(names, key=str.lower)}


# Cached, since reading the files of every distribution takes a second.
_map_modules_to_distributions = cache(packages_distributions)


@cache
def _list_requirements(name: str) -> frozenset[str]:
    """Return the installed distributions that `name` requires, directly or indirectly, without extras."""
    lines = [line for line in requires(name) or [] if "extra ==" not in line]
    direct = {re.split(r"[^\w.-]", line)[0].lower() for line in lines}
    installed = {requirement for requirement in direct if _is_installed(requirement)}
    return frozenset(installed.union(*(_list_requirements(requirement) for requirement in installed)))


def _is_installed(name: str) -> bool:
    try:
        get_release(name)
    except PackageNotFoundError:
        return False
    return True
