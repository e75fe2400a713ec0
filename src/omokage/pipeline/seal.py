"""The seal: a stage may load only the code that dvc.yaml declares for it.

DVC's cache is keyed by the declared code, so a change of undeclared code would not rerun the stage.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omokage.base.errors import UserError
from omokage.pipeline.code import EXEMPT, find_loaded_modules, is_declared
from omokage.pipeline.graph import Stage

# Not hidden: loaded a second time, its exceptions would be other classes, which the runner does not catch.
SHARED = "omokage.base.errors"


@contextmanager
def hide_loaded_modules(root: Path) -> Iterator[None]:
    """Remove the project's modules from sys.modules until the context ends, so that a stage must load what it uses.

    Otherwise a stage could use undeclared modules that the runner has already loaded, and its run record would list
    the runner's modules.
    """
    loaded = [name for name, path in find_loaded_modules(root).items() if not path.endswith(EXEMPT)]
    hidden = {name: sys.modules.pop(name) for name in loaded if name != SHARED}
    # `from package import module` first looks for an attribute of the package, and only then in sys.modules.
    packages = {name: sys.modules[name.rpartition(".")[0]] for name in hidden}
    for name, package in packages.items():
        vars(package).pop(name.rpartition(".")[2], None)
    try:
        yield
    finally:
        sys.modules.update(hidden)
        for name, package in packages.items():
            setattr(package, name.rpartition(".")[2], hidden[name])


def check_seal(root: Path, stage: Stage) -> None:
    """Raise UserError if the stage has loaded a module that dvc.yaml does not declare for it.

    Must be called within `hide_loaded_modules`.
    """
    if undeclared := sorted(path for path in find_loaded_modules(root).values() if not is_declared(path, stage.code)):
        raise UserError(
            f"stage {stage.name} loads {', '.join(undeclared)}, which dvc.yaml does not list: add the file or its "
            "folder to the stage's deps"
        )
