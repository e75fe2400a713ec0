"""The shape of the source tree: short modules in folders, none outside, and only docstrings in __init__.py files.

The exception is the package's own __init__.py, which gives access to the library and imports nothing by itself.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clone import ROOT

PACKAGE = ROOT / "src" / "omokage"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE, LONGEST_STAGE, LONGEST_FUNCTION = 250, 59, 60


def find_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of lines of every function and method."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_module_lies_outside_a_folder() -> None:
    assert [path.name for path in PACKAGE.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.name == "__init__.py" and path.parent != PACKAGE],
    ids=lambda path: path.parent.name,
)
def test_packages_init_files_hold_only_a_docstring(path: Path) -> None:
    (statement,) = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def test_importing_the_package_loads_none_of_its_modules_before_a_name_is_used() -> None:
    code = (
        "import sys; before = {*sys.modules}; import omokage\n"
        "new = {name.partition('.')[0] for name in {*sys.modules} - before}\n"
        "print(sorted(new - {*sys.stdlib_module_names}), [name for name in sys.modules if name[:8] == 'omokage.'])\n"
        "assert {*omokage.__all__} <= {*dir(omokage)}\n"
        "omokage.missing"
    )
    environment = {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "['omokage'] []\n"
    assert done.stderr.endswith("AttributeError: module 'omokage' has no attribute 'missing'\n")


def test_every_folder_of_modules_is_a_package() -> None:
    assert {path.parent for path in MODULES} == {path.parent for path in MODULES if path.name == "__init__.py"}


def test_modules_and_functions_are_short() -> None:
    for path in MODULES:
        limit = LONGEST_STAGE if path.parent.name == "stages" else LONGEST_MODULE
        assert len(path.read_text(encoding="utf-8").splitlines()) <= limit, path
        for name, lines in find_functions(path):
            assert lines <= LONGEST_FUNCTION, f"{path}: {name}"


def test_no_test_imports_another_test() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(part.startswith("test_") for module in modules for part in module.split(".")), path
