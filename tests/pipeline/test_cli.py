"""The command `omokage`: its help, and `omokage transform` and `sample` with a model that was trained briefly."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from support.clone import ROOT, Clone
from support.images import write_random_images

from omokage.cli.main import COMMANDS, main
from omokage.cli.user_images import load_faces
from omokage.figures.sheet import GAP, TILE_SIDE, tile_images
from omokage.stamps.stamp import read_stamp

MARGIN = 12  # pixels around a sheet


@pytest.fixture
def image_paths(tmp_path: Path) -> list[str]:
    write_random_images(tmp_path / "mine", 2)
    return [str(path) for path in sorted((tmp_path / "mine").iterdir())]


def transform(clone: Clone, out: Path, method: str, *arguments: str) -> int:
    model = str(clone.root / "results" / "model.safetensors")
    return main(["transform", method, *arguments, "--steps", "4", "--model", model, "--out", str(out)])


def split_columns(path: Path) -> list[np.ndarray]:
    """Return the columns of a sheet, without its margin and the space between the columns."""
    sheet = np.asarray(Image.open(path).convert("RGB"))[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return [sheet[:, left : left + TILE_SIDE] for left in range(0, sheet.shape[1], TILE_SIDE + GAP)]


def test_help_describes_every_command_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(["--help"])
    described = re.findall(r"^    ([a-z-]+)  +\S", capsys.readouterr().out, flags=re.MULTILINE)
    assert described == [command.__name__.rpartition(".")[2].replace("_", "-") for command in COMMANDS]


def test_variations_start_with_the_image_and_depend_on_the_seed(
    finished_clone: Clone, tmp_path: Path, image_paths: list[str]
) -> None:
    sheets = []
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        out = tmp_path / f"{name}.png"
        assert transform(finished_clone, out, "vary", *image_paths, "--count", "3", "--seed", seed) == 0
        sheets.append(out)
    assert sheets[0].read_bytes() == sheets[1].read_bytes()
    columns = [split_columns(sheet) for sheet in (sheets[0], sheets[2])]
    originals = tile_images(load_faces([Path(path) for path in image_paths], side=16, crop="auto").numpy(), columns=1)
    assert all(np.array_equal(sheet[0], np.asarray(originals)) for sheet in columns)
    for first, second in zip(columns[0][1:], columns[1][1:], strict=True):
        assert not np.array_equal(first, second)
    stamp = read_stamp(tmp_path / "c.png")
    assert stamp["transform"]["seed"] == 1 and stamp["transform"]["how"] == "vary"
    assert str(tmp_path) not in json.dumps(stamp)


def test_strength_zero_returns_the_images(finished_clone: Clone, tmp_path: Path, image_paths: list[str]) -> None:
    out = tmp_path / "same.png"
    assert transform(finished_clone, out, "vary", *image_paths, "--count", "1", "--strength", "0") == 0
    original, variation = split_columns(out)
    assert np.array_equal(original, variation)


def test_a_round_trip_prints_its_error_and_an_interpolation_has_the_requested_count(
    finished_clone: Clone, tmp_path: Path, image_paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert transform(finished_clone, tmp_path / "trip.png", "roundtrip", *image_paths) == 0
    assert capsys.readouterr().out.count("grey levels (of 255) after 4 steps each way") == 2
    assert transform(finished_clone, tmp_path / "between.png", "between", *image_paths, "--count", "5") == 0
    assert "1 row(s) of 5" in capsys.readouterr().out


def test_why_names_the_whole_command_that_transformed_an_image(
    finished_clone: Clone,
    tmp_path: Path,
    image_paths: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "sheet.png"
    assert transform(finished_clone, out, "vary", *image_paths, "--count", "2", "--strength", "0.25") == 0
    capsys.readouterr()
    monkeypatch.chdir(finished_clone.root)
    assert main(["why", str(out)]) == 0
    text = capsys.readouterr().out
    command = "omokage transform vary IMAGE ... --strength 0.25 --count 2 --sampler ddpm --seed 0 --steps 4"
    assert "was written by `omokage transform`, according to its metadata" in text
    assert f"reproduce with  dvc repro train && {command}\n" in text


def test_a_sample_has_the_pixels_of_the_run_and_why_names_a_command_that_makes_it_again(
    finished_clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished_clone.root)
    monkeypatch.setenv("OMOKAGE_THREADS", "1")  # as for the stages of the clone
    assert main(["sample", "--out", str(tmp_path / "samples")]) == 0
    expected = load_file(finished_clone.root / "results" / "samples.safetensors")["samples"]
    path = tmp_path / "samples" / "000002.png"
    assert len(list(path.parent.glob("*.png"))) == len(expected)
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert np.array_equal(pixels.transpose(2, 0, 1), expected[2].numpy())
    capsys.readouterr()
    assert main(["why", str(path)]) == 0
    text = capsys.readouterr().out
    assert re.search("^model in +the workspace, commit ", text, flags=re.MULTILINE)
    (command,) = re.findall(r"^reproduce with +dvc repro train && omokage (sample .*)$", text, flags=re.MULTILINE)
    assert main([*shlex.split(command), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png"], "missing.png: there is no such file"),
        ([str(ROOT / "README.md")], "README.md: unknown format"),
        (["x.png", "--model", "missing"], "missing: there is no model: train one with `make`"),
    ],
)
def test_an_error_is_one_line(
    finished_clone: Clone, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    model = ["--model", str(finished_clone.root / "results" / "model.safetensors")]
    assert main(["transform", "vary", "--steps", "4", *model, *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]
