"""The command `omokage`, with a model that was really trained, however briefly."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Clone
from PIL import Image
from test_experiments import draw

from omokage import cli, provenance


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    draw(tmp_path / "mine", 2)
    return [str(path) for path in sorted((tmp_path / "mine").iterdir())]


def transform(finished: Clone, out: Path, how: str, *arguments: str) -> int:
    model = str(finished.root / "results" / "model.safetensors")
    return cli.main(["transform", how, *arguments, "--steps", "4", "--model", model, "--out", str(out)])


def test_variations_begin_with_the_picture_and_depend_on_the_seed(
    finished: Clone, tmp_path: Path, pictures: list[str]
) -> None:
    sheets = []
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        out = tmp_path / f"{name}.png"
        assert transform(finished, out, "vary", *pictures, "--count", "3", "--seed", seed) == 0
        sheets.append(out.read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]
    stamp = provenance.read(tmp_path / "c.png")
    assert stamp["transform"]["seed"] == 1 and stamp["transform"]["how"] == "vary"
    assert str(tmp_path) not in json.dumps(stamp)


def test_no_strength_gives_the_pictures_back(finished: Clone, tmp_path: Path, pictures: list[str]) -> None:
    out = tmp_path / "same.png"
    assert transform(finished, out, "vary", *pictures, "--count", "1", "--strength", "0") == 0
    sheet = np.asarray(Image.open(out).convert("RGB"))[12:-12, 12:-12]
    assert np.array_equal(sheet[:, :96], sheet[:, 100:196])


def test_a_round_trip_states_its_error_and_a_way_has_as_many_pictures_as_asked(
    finished: Clone, tmp_path: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert transform(finished, tmp_path / "trip.png", "roundtrip", *pictures) == 0
    assert capsys.readouterr().out.count("grey levels (of 255) after 4 steps each way") == 2
    assert transform(finished, tmp_path / "way.png", "between", *pictures, "--count", "5") == 0
    assert "1 row(s) of 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere.png"], "nowhere.png: there is no such file"),
        ([str(ROOT / "README.md")], "README.md: unknown format"),
        (["x.png", "--model", "nowhere"], "nowhere: there is no model: train one with `make`"),
    ],
)
def test_a_mistake_is_one_line(
    finished: Clone, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    model = ["--model", str(finished.root / "results" / "model.safetensors")]
    assert cli.main(["transform", "vary", "--steps", "4", *model, *arguments]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and complaint in said[0]
