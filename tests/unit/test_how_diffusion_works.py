"""docs/how-diffusion-works.md: its boxes run and print what the page says, and it names only functions that exist."""

import re
from importlib import import_module
from inspect import getsourcefile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.clone import ROOT
from support.training import make_faces, make_spec, train_tiny

from omokage.data.shards import SPLITS, write_faces
from omokage.diffusion.model import save_model

PAGE = ROOT / "docs" / "how-diffusion-works.md"
TEXT = PAGE.read_text(encoding="utf-8")
# Each box with the output that the page shows after it, if any.
BOXES = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", TEXT, flags=re.DOTALL | re.MULTILINE)
FUNCTIONS = re.findall(r"^<!-- function: (\S+) -->$", TEXT, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, use_one_thread: None) -> Path:
    """Return a folder with a tiny trained model and faces, where the pipeline would write them."""
    root = tmp_path_factory.mktemp("checkout")
    for split in SPLITS:
        write_faces(root / "data" / "faces", split, make_faces())
    (root / "results").mkdir()
    save_model(root / "results" / "model.safetensors", train_tiny(root / "work").network, make_spec())
    return root


@pytest.mark.parametrize("number", range(len(BOXES)))
def test_a_box_runs_and_prints_what_the_page_shows(
    number: int, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = BOXES[number]
    monkeypatch.chdir(checkout)
    exec(compile(code, f"{PAGE.name}, box {number}", "exec"), {})
    assert capsys.readouterr().out == output
    for name in re.findall(r'\.save\("(.+)"\)', code):
        with Image.open(checkout / name) as image:
            assert len(image.getcolors(image.width * image.height) or []) > 2


def test_the_page_has_boxes_and_functions() -> None:
    assert len(BOXES) == 3 and len(FUNCTIONS) > 10


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_next_to_an_equation_exists_and_its_file_is_linked_before_it(name: str) -> None:
    function = find_function(name)
    before = TEXT.partition(f"<!-- function: {name} -->")[0]
    source = Path(getsourcefile(function) or "").relative_to(ROOT)
    assert f"(../{source.as_posix()})" in before
    assert f"`{name.removeprefix(function.__module__ + '.')}`" in before


def find_function(name: str) -> Any:
    """Return the function or method with this full name."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except ImportError:
        return getattr(find_function(module), attribute)
