"""The notebook docs/notebooks/python.ipynb: its cells run in their order on a tiny model, and it has no outputs."""

import ast
import json
from pathlib import Path

import pytest
from PIL import Image
from support.clone import ROOT
from support.training import make_spec

from omokage.diffusion.model import save_model
from omokage.training.trainer import create_network

NOTEBOOK = ROOT / "docs" / "notebooks" / "python.ipynb"


def test_the_cells_run_and_end_with_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    save_model(Path("results/model.safetensors"), create_network(make_spec(), 0), make_spec())
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert notebook["nbformat"] == 4 and len(cells) >= 6
    namespace: dict[str, object] = {}
    shown = []
    for number, cell in enumerate(cells):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        code = ast.parse("".join(cell["source"]))
        exec(compile(ast.Module(code.body[:-1], []), f"cell {number}", "exec"), namespace)
        last = code.body[-1]
        if isinstance(last, ast.Expr):  # a notebook shows the value of a cell's last line
            shown.append(eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), namespace))
        else:
            exec(compile(ast.Module([last], []), f"cell {number}", "exec"), namespace)
    assert "16 x 16 pixels" in repr(shown[0])
    assert all(isinstance(value, Image.Image) for value in shown[1:]) and len(shown) > 4
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["sample-0.png", "sample-1.png"]
