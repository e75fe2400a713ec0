"""Which files of the project, and which distributions, a stage's imports reach: `make deps` tells DVC.

    python -m omokage.imports CHECKOUT

rewrites the code deps of every stage in dvc.yaml and the lists in workflow/packages.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

from ruamel.yaml import YAML

from omokage import pipeline

CODE = "src/"
# Where another distribution needs these, their versions can change a pixel or a sum there too.
NUMERIC = ("numpy", "pillow", "scipy", "torch", "torchvision")


def reached(root: Path, stage: str) -> tuple[list[str], list[str]]:
    """Return the project's files, relative to the checkout, and the other top-level modules that `stage` imports.

    Imports inside functions count, as do the `__init__` files of the packages on the way.
    """
    files: set[str] = set()
    others: set[str] = set()
    queue = [f"omokage.stages.{stage}"]
    if stage != "params":
        queue.append(f"omokage.params.{stage}")
    while queue:
        module = queue.pop()
        path = _file(root, module)
        if path is None:
            if module.partition(".")[0] not in {*sys.stdlib_module_names, "omokage"}:
                others.add(module.partition(".")[0])
            continue
        relative = path.relative_to(root).as_posix()
        if relative not in files:
            files.add(relative)
            queue += [*_parents(module), *_imports(path)]
    return sorted(files), sorted(others)


def _file(root: Path, module: str) -> Path | None:
    base = root / CODE / Path(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def distributions(modules: list[str]) -> dict[str, str]:
    """Return the distributions that hold the top-level modules, with the versions installed."""
    holders = _holders()
    # A package of data files alone, such as dicebear_styles, is not among the holders: it is named after its module.
    names = {name for module in modules for name in holders.get(module, [module.replace("_", "-")])}
    names |= {name for name in NUMERIC if any(name in _required(other) for other in names)}
    return {name: version(name) for name in sorted(names, key=str.lower)}


# To read what each distribution holds takes a second.
_holders = cache(packages_distributions)


@cache
def _required(name: str) -> frozenset[str]:
    """Return the distributions that `name` requires, directly or not, extras aside."""
    lines = [line for line in requires(name) or [] if "extra ==" not in line]
    direct = {re.split(r"[^\w.-]", line)[0].lower() for line in lines}
    installed = {other for other in direct if _is_installed(other)}
    return frozenset(installed.union(*(_required(other) for other in installed)))


def _is_installed(name: str) -> bool:
    """Return whether a distribution of that name is installed."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def rewrite(root: Path) -> None:
    """Write what the imports reach into dvc.yaml and workflow/packages."""
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = root / "dvc.yaml"
    declared = yaml.load(path)
    for name, stage in pipeline.read(root).items():
        files, modules = reached(root, name)
        templates = [dep for dep in stage.code if not dep.endswith(".py")]
        code = [*files, *templates, stage.packages]
        deps = declared["stages"][name].setdefault("deps", [])
        for dep in [dep for dep in deps if dep not in stage.data and dep not in code]:
            deps.remove(dep)
        deps.extend(dep for dep in code if dep not in deps)
        listing = "".join(f"{package}=={installed}\n" for package, installed in distributions(modules).items())
        (root / stage.packages).write_text(listing, encoding="utf-8")
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(declared, file)


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]))
