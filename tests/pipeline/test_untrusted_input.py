"""Untrusted names, values and files must not be executed: not by a shell, an interpreter or pickle."""

import ast
from collections.abc import Callable
from pathlib import Path

from support.clone import ROOT, Clone
from support.images import write_random_images

from omokage.config.yaml_file import load_yaml

SHELL_CODE = "a'b \"; touch pwned; $(touch pwned) `touch pwned` &"


def test_no_module_unpickles_anything() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {getattr(node, "module", None), *(alias.name for alias in node.names)}
                assert not names & {"pickle", "dill", "joblib", "marshal", "shelve"}, path
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "pd.read_pickle"):
                assert any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)


def test_no_shell_executes_file_names_or_parameters(
    finished_clone: Clone, preload: Callable[[Clone], Clone], tmp_path: Path
) -> None:
    clone = preload(finished_clone.copy(tmp_path / f"clone {SHELL_CODE}"))
    folder = tmp_path / f"images {SHELL_CODE}"
    write_random_images(folder, 20)
    for number, path in enumerate(sorted(folder.iterdir())[:4]):
        path.rename(folder / f"{number} {SHELL_CODE}.png")
    clone.set_params(source="folder", folder=f"../{folder.name}", report_title=SHELL_CODE, crop="whole")
    clone.dvc("repro", "faces")
    assert SHELL_CODE in (clone.root / "data" / "curation.csv").read_text().replace('""', '"')
    assert load_yaml(clone.root / "params.yaml")["report_title"] == SHELL_CODE
    assert not [path for path in tmp_path.rglob("*pwned") if path.name == "pwned"]
    assert not (Path.cwd() / "pwned").exists()


def test_a_path_with_braces_is_an_error(
    finished_clone: Clone, preload: Callable[[Clone], Clone], tmp_path: Path
) -> None:
    clone = preload(finished_clone.copy(tmp_path / "{clone}"))
    done = clone.dvc("repro", "--force", "params", check=False)
    assert done.returncode != 0
    assert "expected a path without colons, braces and line breaks" in done.stderr
