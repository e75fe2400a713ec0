"""`omokage score`: equal to the stage `evaluate` on the same images, and clear about files that it cannot compare."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.archives import write_zip
from support.clone import ROOT, Clone
from support.evaluation import LITE, draw_faces, write_reference
from support.images import encode_image, random_image
from torch import Tensor

from omokage.base.errors import UserError
from omokage.cli import score
from omokage.cli.main import main
from omokage.config.params_file import default_params, render_params
from omokage.scoring.image_set import find_usual_side, read_images
from omokage.scoring.score import TRAINING_SCORES, score_images

pytestmark = pytest.mark.usefixtures("use_one_thread")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "THREADS", 1)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which nothing has run, as the current folder."""
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copy(ROOT / "dvc.yaml", root)
    values = default_params() | {"bootstrap": 20, "kid_subsets": 5, "evaluate_seed": 3, "reference_faces": 20}
    (root / "params.yaml").write_text(render_params(values), encoding="utf-8")
    monkeypatch.chdir(root)
    return root


def encode_images(images: Tensor) -> dict[str, bytes]:
    """Return images, uint8 [n, 3, h, w], as PNG files by name, in order."""
    return {
        f"{number:05}.png": encode_image(Image.fromarray(image.permute(1, 2, 0).numpy()))
        for number, image in enumerate(images)
    }


def write_images(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files to a new folder, and return it."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def run_score(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    """Run the command with --json and return what it prints."""
    assert main(["score", *map(str, arguments), "--json"]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def test_exported_samples_have_the_scores_of_the_stage(
    finished_clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = finished_clone.root
    expected = json.loads((root / "results" / "scores.json").read_text(encoding="utf-8"))
    samples = load_file(root / "results" / "samples.safetensors")["samples"]
    files = encode_images(samples)
    before = finished_clone.run("git", "status", "--porcelain", "--ignored").stdout
    monkeypatch.chdir(root / "src")
    for images in (write_images(tmp_path / "exported", files), write_zip(tmp_path / "exported.zip", files)):
        printed = run_score(capsys, images)
        assert printed["scores"] == expected and printed["images"]["readable"] == len(samples)
    assert score_images(samples, root) == expected
    assert score_images(samples.flip(3), root) != expected
    assert finished_clone.run("git", "status", "--porcelain", "--ignored").stdout == before

    assert main(["score", str(tmp_path / "exported")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    low, high, floor = (f"{expected[f'distance_{part}']:.5g}" for part in ("low", "high", "floor"))
    assert ["Fréchet", "distance", f"({LITE})", f"{expected['distance']:.5g}", low, "to", high, floor] in rows
    style = [f"{expected[name]['red']:.5g}" for name in ("style", "style_floor")]
    assert ["style:", "red", *style] in rows
    names = {" ".join(row).split(":")[0].split()[0] for row in rows if row}
    missing = {key for key in expected if not key.endswith(score.SUFFIXES) and key not in score.SETTINGS} - names
    # The distance has its full name; the others are a description and histograms.
    assert missing == {"distance", "searches", "style_histograms"}


def test_another_folder_gives_the_scores_and_the_floor(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, images = encode_images(draw_faces(16, 5)), write_images(tmp_path / "images", encode_images(draw_faces(8, 7)))
    first = run_score(capsys, images, "--against", write_images(tmp_path / "real", real))
    # The half of an image depends on its pixels and not on its name.
    renamed = {f"{15 - number}.png": content for number, content in enumerate(real.values())}
    second = run_score(capsys, images, "--against", write_zip(tmp_path / "renamed.zip", renamed))
    assert first["scores"] == second["scores"]
    assert (first["scores"]["n"], first["scores"]["n_reference"]) == (8, 8)
    repeated = write_zip(tmp_path / "repeated.zip", real | {f"again-{name}": real[name] for name in list(real)[:7]})
    third = run_score(capsys, images, "--against", repeated)
    assert third["scores"] == first["scores"] and (third["against"]["readable"], third["against"]["copies"]) == (23, 7)
    assert "copied" not in first["scores"] and "distance_floor" in first["scores"]
    noise = write_images(tmp_path / "noise", {f"{n}.png": encode_image(random_image(n, 24, 24)) for n in range(8)})
    worse = run_score(capsys, noise, "--against", tmp_path / "real")["scores"]
    assert worse["distance"] > 2 * first["scores"]["distance"] and worse["precision"] < 0.5
    assert worse["distance_floor"] == first["scores"]["distance_floor"]


def test_halves_of_real_images_take_the_places_of_held_out_and_training_faces(checkout: Path) -> None:
    write_reference(checkout / "data", LITE, 15, 14, limit=20)
    images = draw_faces(12, 7)
    expected = score_images(images, checkout)
    assert expected["n_reference"] == 15 and "copied" in expected and "distance_floor" in expected
    assert score_images(images, checkout, against=torch.cat([draw_faces(15, 1), draw_faces(14, 2)])) == {
        key: value for key, value in expected.items() if key.removesuffix("_floor") not in TRAINING_SCORES
    }


def test_files_that_are_left_out_and_resized_images_are_counted_and_named(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = encode_images(draw_faces(8, 1))
    large = Image.fromarray(draw_faces(1, 2)[0].permute(1, 2, 0).numpy()).resize((60, 60))
    mixed = files | {"large.png": encode_image(large), "small.png": encode_image(large.resize((12, 12)))}
    mixed |= {"cut.png": files["00000.png"][:-60], "layers.psd": b"8BPS" + bytes(60), "notes.txt": b"text"}
    write_images(tmp_path / "mixed", mixed)
    printed = run_score(capsys, tmp_path / "mixed", "--against", write_images(tmp_path / "real", files), "--resize")
    described = printed["images"]
    assert (described["readable"], described["other_files"]) == (10, 1)
    assert described["resized"] == {"12": 1, "60": 1} and set(described["unreadable"]) == {"cut.png", "layers.psd"}
    found = read_images(tmp_path / "mixed", 24, True, 100)
    expected = large.resize((24, 24), Image.Resampling.LANCZOS)
    assert encode_images(found.images[8:9]) == {"00000.png": encode_image(expected)}
    assert torch.equal(found.images[:8], draw_faces(8, 1))
    assert find_usual_side(tmp_path / "mixed") == 24

    assert main(["score", str(tmp_path / "mixed"), "--against", str(tmp_path / "real"), "--resize"]) == 0
    text = capsys.readouterr().out
    assert "1 from 12 x 12, 1 from 60 x 60 to 24 x 24 (Lanczos); enlarged, which blurs: 1" in text
    assert "unreadable images, 2: cut.png (broken: " in text and "layers.psd (unsupported format: PSD" in text
    assert "files that are no images: 1" in text and "the first by name of 10" in text


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({}, [], "data/faces and data/reference: not in this checkout: run `dvc pull` or `dvc repro reference`"),
        ({}, ["--against", "absent"], "absent does not exist: expected a folder, a zip, a tar or a tar.gz"),
        ({}, ["--against", "images"], "images holds no image: add some, or give another folder"),
        ({}, ["--against", "images/../params.yaml"], "params.yaml is neither a folder nor an archive (text)"),
        (
            {"a.png": (20, 20)},
            ["--against", "images/a.png"],
            "expected a folder, a zip, a tar or a tar.gz of images; give",
        ),
        ({"a.png": (4, 4)}, ["--against", "images"], "the images have 4 x 4 pixels, expected 8 to 512 a side"),
        ({"a.png": (30, 20)}, ["--against", "images"], "images holds no square image: crop the images to squares"),
        (
            {"a.png": (20, 20), "b.png": (20, 20), "c.png": (30, 20), "d.png": (9, 9)},
            ["--against", "images", "--resize"],
            "c.png has 30 x 20 pixels, which is not square: expected 20 x 20 as the real faces: crop it to a square",
        ),
        (
            {"a.png": (20, 20), "b.png": (20, 20), "c.png": (30, 20), "d.png": (9, 9)},
            ["--against", "images"],
            "c.png has 30 x 20 pixels, which is not square and 1 more",
        ),
        (
            {"a.png": (20, 20), "b.png": (20, 20), "d.png": (9, 9)},
            ["--against", "images"],
            "d.png has 9 x 9 pixels: expected 20 x 20 as the real faces: resize the images with --resize",
        ),
        ({"a.png": (20, 20)}, ["--against", "images"], "images to score: 1, expected at least 2"),
        (
            {"a.png": (20, 20), "b.png": (20, 20)},
            ["--against", "images"],
            "images to compare with: 2, expected at least 4",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    checkout: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, tuple[int, int]],
    arguments: list[str],
    message: str,
) -> None:
    contents = {name: encode_image(random_image(seed, *size)) for seed, (name, size) in enumerate(files.items())}
    write_images(checkout / "images", contents)
    assert main(["score", "images", *arguments]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("omokage: ") and message in line and "set folder" not in line


def test_a_folder_without_a_readable_image_is_refused(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(checkout / "images", {"a.png": encode_image(random_image(0, 20, 20))[:-300]})
    write_images(checkout / "real", encode_images(draw_faces(4, 1)))
    assert main(["score", "images", "--against", "real"]) == 2
    assert "images: none of 1 images can be read, first a.png (broken: " in capsys.readouterr().err


def test_images_of_another_size_are_refused_in_python(checkout: Path) -> None:
    with pytest.raises(UserError, match=r"images of shape \[3, 16, 16\]: expected \[3, 24, 24\]"):
        score_images(torch.zeros(4, 3, 16, 16, dtype=torch.uint8), checkout, against=draw_faces(8, 1))
