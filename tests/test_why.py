"""`omokage why`: whose a picture is, in whatever copy, and how to make it again."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Clone
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

from omokage import cli, lineage, provenance
from omokage.history import History
from omokage.lineage import Lineage
from omokage.params import whole
from omokage.trace import Verdict, trace

FIGURES = Path("results/figures")


@pytest.fixture
def asked(
    with_experiment: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Return a function that asks for a file in the clone with an experiment."""

    def ask(path: Path) -> tuple[int, dict[str, Any]]:
        monkeypatch.chdir(with_experiment.root)
        code = cli.main(["why", "--json", str(path)])
        return code, json.loads(capsys.readouterr().out)

    return ask


def kept(clone: Clone, path: Path, revision: str = "other") -> bytes:
    """Return a file as git has it of a revision, such as the experiment, which is not applied."""
    with History(clone.root) as history:
        content = history.read(history.revision(revision), str(path))
    assert content is not None
    return content


def frames(path: Path) -> list[Image.Image]:
    with Image.open(path) as image:
        return [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]


def test_a_fresh_figure_is_known_with_all_it_rests_on(with_experiment: Clone, asked: Callable) -> None:
    code, told = asked(with_experiment.root / FIGURES / "samples.png")
    assert code == 0 and told["verdict"] == Verdict.RECORDED
    assert (told["output"], told["stage"]) == ("results/figures/samples.png", "figures")
    assert told["params"]["train"]["lr"] == 0.004 and told["params"]["figures"] == {"grid_side": 2}
    assert "evaluate" not in told["params"]
    assert told["data"]["name"] == "DiceBear avatars: adventurer" and told["data"]["pictures"] == 48
    assert told["scores"] == json.loads((with_experiment.root / "results/metrics.json").read_text())
    assert [held["kind"] for held in told["held_by"]] == ["workspace", "commit", "commit"]
    assert told["differing"] == told["packages_changed"] == {} and told["code_changed"] == []
    assert told["again"][0] == "dvc repro"


def test_what_a_person_is_told_is_short_and_names_the_command(
    with_experiment: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(with_experiment.root / "src")
    (tmp_path / "x.png").write_bytes(kept(with_experiment, FIGURES / "samples.png"))
    assert cli.main(["why", str(tmp_path / "x.png")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "is a result of the pipeline, byte for byte output results/figures/samples.png of stage figures" in told
    assert "other now lr = 0.001 (now 0.004) scores Fréchet distance" in told
    assert "held by experiment other (" in told and "again dvc exp apply other" in told


@pytest.mark.parametrize("name", ["x", "x.png", "x.bmp", "x.webp", "x.tiff"])
def test_a_copy_without_its_stamp_is_known_by_its_pixels(
    with_experiment: Clone, asked: Callable, tmp_path: Path, name: str
) -> None:
    (tmp_path / "original").write_bytes(kept(with_experiment, FIGURES / "samples.png"))
    with Image.open(tmp_path / "original") as image:
        image.convert("RGB").save(
            tmp_path / name, "PNG" if name == "x" else None, **{"lossless": True} if "webp" in name else {}
        )
    code, told = asked(tmp_path / name)
    assert code == 0 and told["verdict"] == Verdict.RECORDED and told["output"] == "results/figures/samples.png"
    assert told["differing"] == {"lr": {"then": 0.001, "now": 0.004}}
    assert told["params"]["figures"] == {"grid_side": 2}
    assert [held["name"] for held in told["held_by"]] == ["other"]
    assert told["again"] == ["dvc exp apply other", "dvc exp run -S lr=0.001"]


def test_all_frames_of_an_animation_count(with_experiment: Clone, asked: Callable, tmp_path: Path) -> None:
    original = with_experiment.root / FIGURES / "denoising.gif"
    shown = frames(original)
    for count, verdict in ((len(shown), Verdict.RECORDED), (len(shown) - 1, Verdict.UNKNOWN)):
        shown[0].save(tmp_path / "x.png", save_all=True, append_images=shown[1:count])
        code, told = asked(tmp_path / "x.png")
        assert told["verdict"] == verdict and code == (verdict == Verdict.UNKNOWN)


@pytest.mark.parametrize("name", ["samples.png", "denoising.gif", "loss.png"])
def test_pixels_edited_under_their_stamp_are_found_out(
    with_experiment: Clone, asked: Callable, tmp_path: Path, name: str
) -> None:
    original = with_experiment.root / FIGURES / name
    stamp, shown = provenance.read(original), frames(original)
    shown[-1].putpixel((3, 3), (1, 2, 3))
    copy = tmp_path / f"x{original.suffix}"
    if name.endswith("gif"):
        comment = provenance.text(stamp).encode()
        shown[0].save(copy, save_all=True, append_images=shown[1:], comment=comment)
    else:
        # Whoever edits may write the hash of the new pixels into the stamp as well: the records tell.
        provenance.save_png(shown[0], copy, stamp)
    code, told = asked(copy)
    assert code == 1 and told["verdict"] == Verdict.EDITED
    assert told["says"].startswith("was edited" if name.endswith("gif") else "is not what was drawn")
    assert told["output"] == f"results/figures/{name}"


def test_without_any_record_a_stamp_still_tells_an_edit(tmp_path: Path) -> None:
    picture = Image.new("RGB", (9, 9), "red")
    provenance.save_png(picture, tmp_path / "a.png", {"figure": "samples.png"})
    stamp = provenance.read(tmp_path / "a.png")
    with History(tmp_path) as history:
        assert trace(tmp_path / "a.png", history).verdict == Verdict.UNCONFIRMED
        with Image.open(tmp_path / "a.png") as image:
            info = image.info
        picture.putpixel((1, 1), (0, 0, 9))
        metadata = PngInfo()
        metadata.add_itxt(provenance.KEY, info[provenance.KEY])
        picture.save(tmp_path / "b.png", pnginfo=metadata)
        assert provenance.read(tmp_path / "b.png") == stamp
        assert trace(tmp_path / "b.png", history).verdict == Verdict.EDITED


def test_a_strangers_picture_is_not_ours(
    with_experiment: Clone, asked: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "stranger.png")
    (tmp_path / "text.png").write_text("no picture at all")
    for name in ("stranger.png", "text.png"):
        code, told = asked(tmp_path / name)
        assert code == 1 and told["verdict"] == Verdict.UNKNOWN and not told["held_by"] and not told["stamp"]
    monkeypatch.chdir(with_experiment.root)
    assert cli.main(["why", str(tmp_path / "stranger.png")]) == 1
    assert "stranger.png is not ours: it carries no stamp" in capsys.readouterr().out
    assert cli.main(["why", str(tmp_path / "nowhere.png")]) == 1
    assert "nowhere.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    "written",
    [
        "",
        "[1]",
        "{}",
        "7",
        '{"figure": "a.png", "runs": 5}',
        '{"figure": "a.png", "runs": {"train": {"params": {}}}}',
        '{"compare": []}',
        '{"figure": "a.png", "params": "x"}',
    ],
)
def test_a_stamp_that_is_none_counts_as_none(tmp_path: Path, written: str) -> None:
    metadata = PngInfo()
    metadata.add_itxt(provenance.KEY, written)
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png", pnginfo=metadata)
    with History(tmp_path) as history:
        assert trace(tmp_path / "x.png", history).verdict == Verdict.UNKNOWN


def test_a_figure_of_an_experiment_that_is_gone_is_told_by_its_stamp_alone(
    copy_of: Callable[[], Clone], with_experiment: Clone, tmp_path: Path
) -> None:
    (tmp_path / "x.png").write_bytes(kept(with_experiment, FIGURES / "samples.png"))
    with History(copy_of().root) as history:
        found = trace(tmp_path / "x.png", history)
    assert found.verdict == Verdict.UNCONFIRMED and not found.held
    assert found.says == "carries a stamp that no record here confirms, though it fits its pixels"
    assert found.stamp["runs"]["train"]["params"]["lr"] == 1e-3


def test_a_stamp_of_another_run_on_recorded_pixels_is_not_believed(
    with_experiment: Clone, asked: Callable, tmp_path: Path
) -> None:
    original = with_experiment.root / FIGURES / "samples.png"
    stamp = provenance.read(original)
    stamp["runs"]["train"]["params"]["lr"] = 0.5
    provenance.save_png(frames(original)[0], tmp_path / "x.png", stamp)
    code, told = asked(tmp_path / "x.png")
    assert code == 0 and told["verdict"] == Verdict.UNCONFIRMED and "the stamp of another run" in told["says"]


@pytest.mark.parametrize("name", ["report.html", "report.md", "metrics.json"])
def test_reports_and_tables_are_known_and_their_edits_too(
    with_experiment: Clone, asked: Callable, tmp_path: Path, name: str
) -> None:
    original = with_experiment.root / "results" / name
    code, told = asked(original)
    assert code == 0 and told["output"] == f"results/{name}" and told["params"]["train"]["lr"] == 0.004
    (tmp_path / name).write_text(original.read_text().replace("i", "j", 1))
    code, told = asked(tmp_path / name)
    assert code == 1
    assert told["verdict"] == (Verdict.UNKNOWN if name.endswith("json") else Verdict.EDITED)


def test_a_commit_is_named_whose_code_and_parameters_made_the_figure(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    made_at = clone.run("git", "rev-parse", "--short", "HEAD").stdout.strip()
    code = clone.root / "src" / "omokage" / "figures" / "loss.py"
    code.write_text(code.read_text() + "\n# changed\n")
    clone.commit("other code, the same results")
    with History(clone.root) as history:
        lineage = Lineage(history, trace(clone.root / FIGURES / "loss.png", history))
        assert lineage.code == ["src/omokage/figures/loss.py"]
        assert len(lineage.held_by) == 3
        assert lineage.again == [f"git checkout {made_at} && dvc repro"]
        beside = Lineage(history, trace(clone.root / FIGURES / "samples.png", history))
        assert beside.code == [] and beside.again[0] == "dvc repro"


def test_why_loads_neither_torch_nor_dvc(finished: Clone) -> None:
    ask = (
        "import sys; from omokage import cli; cli.main(['why', 'results/figures/loss.png']);"
        "assert not {'torch', 'dvc', 'matplotlib', 'pandas'} & set(sys.modules)"
    )
    finished.run(sys.executable, "-c", ask, PYTHONPATH=str(ROOT / "src"))


@pytest.mark.parametrize("value", ["ddim", "true", "null", "1e-4", "a b", 1e-4, True, [1, 2], ["ffffff", "000000"]])
def test_a_setting_is_read_as_the_value_it_stands_for(value: object) -> None:
    assert whole.parse(lineage._typed(value), "a value") == value
