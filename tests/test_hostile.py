"""Names and values that would do something, were they to reach a shell, an interpreter or a page."""

import ast
from pathlib import Path

from conftest import ROOT, Clone
from test_experiments import draw

from omokage.params import whole

NAUGHTY = "a'b \"; touch pwned; $(touch pwned) `touch pwned` &"


def test_nothing_is_unpickled() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {getattr(node, "module", None), *(alias.name for alias in node.names)}
                assert not names & {"pickle", "dill", "joblib", "marshal", "shelve"}, path
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "pd.read_pickle"):
                assert any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)


def test_names_and_values_reach_no_shell(tmp_path: Path) -> None:
    clone = Clone(tmp_path / f"clone {NAUGHTY}")
    pictures = tmp_path / f"pictures {NAUGHTY}"
    draw(pictures, 20)
    for number, path in enumerate(sorted(pictures.iterdir())[:4]):
        path.rename(pictures / f"{number} {NAUGHTY}.png")
    clone.set(source="folder", folder=f"../{pictures.name}", report_title=NAUGHTY, crop="whole")
    clone.dvc("repro", "faces")
    assert NAUGHTY in (clone.root / "data" / "curation.csv").read_text().replace('""', '"')
    assert whole.load(clone.root / "params.yaml")["report_title"] == NAUGHTY
    assert not [path for path in tmp_path.rglob("*pwned") if path.name == "pwned"]
    assert not (Path.cwd() / "pwned").exists()


def test_a_path_that_snakemake_would_misread_is_refused(tmp_path: Path) -> None:
    done = Clone(tmp_path / "{clone}").dvc("repro", "params", check=False)
    assert done.returncode != 0
    assert "expected a path without braces" in done.stderr
