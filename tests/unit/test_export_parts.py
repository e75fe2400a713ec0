"""The parts of `omokage export`: licences, the header of the model file, and the file that stands alone."""

import ast
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from omokage.export import standalone
from omokage.export.licences import find_common_identifier
from omokage.export.model_card import make_slug
from omokage.export.safetensors_header import copy_with_metadata
from omokage.export.standalone import build_standalone


@pytest.mark.parametrize(
    ("licences", "identifier"),
    [
        (["CC BY 4.0"], "cc-by-4.0"),
        (["CC BY 4.0", "CC BY 4.0"], "cc-by-4.0"),
        (["CC BY-NC-SA 4.0"], "cc-by-nc-sa-4.0"),
        (["CC0: Public Domain"], "cc0-1.0"),
        (["CC BY 4.0", "CC0 1.0"], "other"),
        (["as stated on the data set's page"], "other"),
        ([], "unknown"),
    ],
)
def test_the_licence_is_that_of_the_data(licences: list[str], identifier: str) -> None:
    assert find_common_identifier([{"licence": name} for name in licences]) == identifier


def test_names_of_data_sets_become_identifiers() -> None:
    assert make_slug("Kaggle someone/Faces_2020") == "kaggle-someone-faces-2020"
    assert make_slug("顔") == "images"


def test_metadata_is_added_and_the_tensors_stay(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(5, dtype=torch.int16), "a": torch.randn(3, 2), "c": torch.zeros(0)}
    save_file(tensors, tmp_path / "old", metadata={"omokage": "{}"})
    for name in ("new", "same"):
        copy_with_metadata(tmp_path / "old", tmp_path / name, {"z": "顔", "license": 'a "quoted" one'})
    assert (tmp_path / "new").read_bytes() == (tmp_path / "same").read_bytes()
    with safe_open(tmp_path / "new", framework="pt") as file:
        assert file.metadata() == {"omokage": "{}", "z": "顔", "license": 'a "quoted" one'}
    found = load_file(tmp_path / "new")
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert [found[name].dtype for name in tensors] == [tensor.dtype for tensor in tensors.values()]


def test_the_standalone_file_imports_nothing_of_omokage_and_defines_only_what_it_uses() -> None:
    source = build_standalone("omokage.export.denoiser")
    tree = ast.parse(source)
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {item.name for node in ast.walk(tree) if isinstance(node, ast.Import) for item in node.names}
    assert "torch" in modules and not any(str(module).startswith("omokage") for module in modules)
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert {"UNet", "Schedule", "sample_heun", "apply_autoguidance", "OmokageDenoiser"} <= defined
    assert not {"compute_target", "save_model", "prepare_device", "make_guided_denoiser"} & defined
    assert '"""The trained model of an exported folder' in source


def test_names_that_collide_and_modules_as_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standalone, "PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text("def run() -> int:\n    return helper()\n\n\ndef helper() -> int:\n    return 1\n")
    (tmp_path / "b.py").write_text("from omokage.a import run\n\n\ndef helper() -> int:\n    return run()\n")
    (tmp_path / "c.py").write_text("from omokage import a\n\nvalue = a.run()\n")
    with pytest.raises(ValueError, match=r"helper is defined by omokage\.[ab] and by"):
        build_standalone("omokage.b")
    with pytest.raises(ValueError, match="import the names in it instead"):
        build_standalone("omokage.c")
    names: dict[str, int] = {}
    exec(build_standalone("omokage.a"), names)
    assert names["run"]() == 1  # type: ignore[operator]
    standalone.parse.cache_clear()
