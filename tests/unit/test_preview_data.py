"""`omokage preview-data`: what it prints and writes, and that it leaves the checkout as it is."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.clone import ROOT
from support.images import encode_image, random_image, write_random_images

from omokage.cli import data_preview
from omokage.cli.main import main
from omokage.config.params_file import default_params, render_params
from omokage.data.detection import detector
from omokage.data.detection.table import Detection


class CornerDetector:
    """Finds one face, at the top left, in pictures that are wider than high."""

    def detect(self, image: Image.Image) -> list[Detection]:
        """Return the face."""
        return [Detection(60, 60, 60, 1.0)] if image.width > image.height else []

    def check(self) -> None:
        """Do nothing: there is nothing that can be missing."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with 20 faces, a picture with a face, one without, and two files that are no images."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    (tmp_path / "src" / "omokage").mkdir(parents=True)
    params = default_params() | {"source": "folder", "folder": "pictures", "image_size": 16, "min_side": 24}
    params["near_duplicates"] = 0.0
    (tmp_path / "params.yaml").write_text(render_params(params), encoding="utf-8")
    pictures = tmp_path / "pictures"
    write_random_images(pictures, 20)
    (pictures / "scene.png").write_bytes(encode_image(random_image(1, 400, 300)))
    (pictures / "tower.png").write_bytes(encode_image(random_image(2, 300, 400)))
    (pictures / "cut.png").write_bytes(encode_image(random_image(3))[:-2000])
    (pictures / "notes.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detector, "DETECTOR", CornerDetector())
    monkeypatch.setattr("omokage.cli.preview_data.THREADS", 1)  # the detector above exists in this process only
    return tmp_path


def list_files(checkout: Path) -> dict[Path, bytes]:
    """Return the content of every file of the checkout."""
    return {path.relative_to(checkout): path.read_bytes() for path in checkout.rglob("*") if path.is_file()}


def test_the_preview_counts_and_shows_what_is_kept_and_dropped(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list_files(checkout)
    assert main(["preview-data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("23 images: 21 faces (")
    counts = {line[:14].strip(): line[14:].split() for line in lines[1:-1]}
    assert counts["kept"][0] == "21"
    assert counts["broken"] == ["1", "for", "example", "cut.png"]
    assert counts["no face found"] == ["1", "for", "example", "tower.png"]
    assert counts["left out"] == ["1", "for", "example", "notes.txt"]
    assert lines[-1] == "preview.png: examples of each line"
    after = list_files(checkout)
    del after[Path("preview.png")]
    assert after == before
    with Image.open("preview.png") as sheet:
        assert sheet.format == "PNG" and sheet.width == 1220
        assert len(sheet.convert("RGB").getcolors(sheet.width * sheet.height) or ()) > 1000


def test_json_has_the_same_counts(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview-data", "--json", "--out", "sheet.png"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert {name: group["count"] for name, group in summary["groups"].items()} == {
        "kept": 21,
        "broken": 1,
        "no face found": 1,
        "left out": 1,
    }
    assert (summary["error"], summary["sheet"], summary["counts"]["detected"]) == (None, "sheet.png", 1)


def test_a_setting_changes_the_preview_and_not_the_parameters(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (checkout / "params.yaml").read_bytes()
    assert main(["preview-data", "--json", "-S", "min_side=60"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["groups"]["too small"]["count"] == 21
    assert "expected at most 50%; lower min_side" in summary["error"]
    assert (checkout / "params.yaml").read_bytes() == before
    assert main(["preview-data", "-S", "min_side=60", "--force"]) == 1
    assert "`dvc repro` would stop: " in capsys.readouterr().out


@pytest.mark.parametrize(("settings", "expected"), [([], 9), (["-S", "source=avatars", "-S", "avatar_size=40"], 9)])
def test_limit_analyses_some_images(
    checkout: Path, capsys: pytest.CaptureFixture[str], settings: list[str], expected: int
) -> None:
    main(["preview-data", "--json", "--limit", "9", *settings])
    assert json.loads(capsys.readouterr().out)["counts"]["pictures"] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "params.png/x.png", "-S", "lrr=1"], "did you mean lr?"),
        (["-S", "folder=absent"], "does not exist"),
        (["--out", "pictures/face-1.png"], "belongs to the pipeline"),
        (["--out", "sheet.jpg"], "expected a name that ends in .png"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    checkout: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["preview-data", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_preview_of_some_images_does_not_count_the_others(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(8):
        (checkout / "pictures" / f"{number}.psd").write_bytes(b"8BPS" + bytes(60))
    (checkout / "pictures" / "line.png").write_bytes(encode_image(random_image(9, 1000, 2)))
    assert main(["preview-data", "--json", "--limit", "10", "-S", "crop=whole"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["counts"]["pictures"] == 10 and summary["counts"]["kept"] < 10 and summary["error"] is None
    assert main(["preview-data", "--json", "--force"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["groups"]["unsupported format"]["count"] == 8 and summary["groups"]["too small"]["count"] == 1


def test_kinds_that_begin_alike_are_different_groups() -> None:
    rows = [{"fate": "dropped", "reason": reason} for reason in ("duplicate of a.png", "duplicate name: a.png")]
    groups = data_preview._group_rows(rows, {"duplicate": 1, "duplicate name": 1})
    assert {name: len(group) for name, group in groups.items()} == {"kept": 0, "duplicate": 1, "duplicate name": 1}
