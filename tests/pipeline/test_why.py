"""`omokage why`: which run produced a file or a copy of it, and how to reproduce it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo
from support.clone import ROOT, Clone
from support.old_names import commit_old_names
from support.runs import read_from_revision

from omokage.cli.main import main
from omokage.config.yaml_file import load_yaml, parse_yaml
from omokage.pipeline.dvc_lock import get_hashes
from omokage.provenance.history import History
from omokage.provenance.identify import Verdict, identify
from omokage.provenance.lineage import Lineage
from omokage.provenance.reproduce import find_commands, render_setting
from omokage.stamps.stamp import KEY, read_stamp, render_stamp, save_png

FIGURES = Path("results/figures")
Why = Callable[[Path], tuple[int, dict[str, Any]]]


@pytest.fixture
def why(clone_with_experiment: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Why:
    """A function that runs `omokage why --json` in the clone, and returns the exit code and the answer."""

    def run(path: Path) -> tuple[int, dict[str, Any]]:
        monkeypatch.chdir(clone_with_experiment.root)
        code = main(["why", "--json", str(path)])
        return code, json.loads(capsys.readouterr().out)

    return run


def read_frames(path: Path) -> list[Image.Image]:
    with Image.open(path) as image:
        return [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]


def test_a_figure_is_identified_with_its_parameters_data_and_scores(clone_with_experiment: Clone, why: Why) -> None:
    code, answer = why(clone_with_experiment.root / FIGURES / "samples.png")
    assert code == 0 and answer["verdict"] == Verdict.RECORDED
    assert (answer["output"], answer["stage"]) == ("results/figures/samples.png", "figures")
    assert answer["params"]["train"]["lr"] == 0.004 and answer["params"]["figures"] == {"grid_side": 2}
    assert "evaluate" not in answer["params"]
    assert answer["data"]["name"] == "DiceBear avatars: adventurer" and answer["data"]["pictures"] == 48
    assert answer["scores"] == json.loads((clone_with_experiment.root / "results/scores.json").read_text())
    assert [revision["kind"] for revision in answer["found_in"]] == ["workspace", "commit", "commit"]
    assert answer["params_changed"] == answer["packages_changed"] == {} and answer["code_changed"] == []
    assert answer["reproduce_with"][0] == "dvc repro figures"


def test_the_text_is_short_and_names_the_command(
    clone_with_experiment: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(clone_with_experiment.root / "src")
    (tmp_path / "x.png").write_bytes(read_from_revision(clone_with_experiment, FIGURES / "samples.png"))
    assert main(["why", str(tmp_path / "x.png")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "is a result of the pipeline, byte for byte output results/figures/samples.png of stage figures" in text
    assert "changed since lr = 0.001 (now 0.004) scores Fréchet distance" in text
    assert "found in experiment other (" in text and "reproduce with dvc exp apply other" in text


@pytest.mark.parametrize("name", ["x", "x.png", "x.bmp", "x.webp", "x.tiff"])
def test_a_copy_without_metadata_is_identified_by_its_pixels(
    clone_with_experiment: Clone, why: Why, tmp_path: Path, name: str
) -> None:
    (tmp_path / "original").write_bytes(read_from_revision(clone_with_experiment, FIGURES / "samples.png"))
    with Image.open(tmp_path / "original") as image:
        image.convert("RGB").save(
            tmp_path / name, "PNG" if name == "x" else None, **{"lossless": True} if "webp" in name else {}
        )
    code, answer = why(tmp_path / name)
    assert code == 0 and answer["verdict"] == Verdict.RECORDED and answer["output"] == "results/figures/samples.png"
    assert answer["params_changed"] == {"lr": {"recorded": 0.001, "current": 0.004}}
    assert answer["params"]["figures"] == {"grid_side": 2}
    assert [revision["name"] for revision in answer["found_in"]] == ["other"]
    assert answer["reproduce_with"] == ["dvc exp apply other", "dvc exp run -S lr=0.001 figures"]


def test_an_animation_is_identified_by_all_its_frames(clone_with_experiment: Clone, why: Why, tmp_path: Path) -> None:
    frames = read_frames(clone_with_experiment.root / FIGURES / "denoising.gif")
    for count, verdict in ((len(frames), Verdict.RECORDED), (len(frames) - 1, Verdict.UNKNOWN)):
        frames[0].save(tmp_path / "x.png", save_all=True, append_images=frames[1:count])
        code, answer = why(tmp_path / "x.png")
        assert answer["verdict"] == verdict and code == (verdict == Verdict.UNKNOWN)


@pytest.mark.parametrize("name", ["samples.png", "denoising.gif", "loss.png"])
def test_a_figure_with_edited_pixels_and_its_old_metadata_is_detected(
    clone_with_experiment: Clone, why: Why, tmp_path: Path, name: str
) -> None:
    original = clone_with_experiment.root / FIGURES / name
    stamp, frames = read_stamp(original), read_frames(original)
    frames[-1].putpixel((3, 3), (1, 2, 3))
    copy = tmp_path / f"x{original.suffix}"
    if name.endswith("gif"):
        comment = render_stamp(stamp).encode()
        frames[0].save(copy, save_all=True, append_images=frames[1:], comment=comment)
    else:
        # This writes the hash of the edited pixels into the stamp; the records still have the original hash.
        save_png(frames[0], copy, stamp)
    code, answer = why(copy)
    assert code == 1 and answer["verdict"] == Verdict.EDITED
    assert answer["description"].startswith(
        "was edited" if name.endswith("gif") else "has the metadata of a recorded run, but other content"
    )
    assert answer["output"] == f"results/figures/{name}"


def test_an_edit_is_detected_from_the_metadata_without_any_record(tmp_path: Path) -> None:
    image = Image.new("RGB", (9, 9), "red")
    save_png(image, tmp_path / "a.png", {"figure": "samples.png"})
    stamp = read_stamp(tmp_path / "a.png")
    with History(tmp_path) as history:
        assert identify(tmp_path / "a.png", history).verdict == Verdict.UNCONFIRMED
        with Image.open(tmp_path / "a.png") as file:
            info = file.info
        image.putpixel((1, 1), (0, 0, 9))
        metadata = PngInfo()
        metadata.add_itxt(KEY, info[KEY])
        image.save(tmp_path / "b.png", pnginfo=metadata)
        assert read_stamp(tmp_path / "b.png") == stamp
        assert identify(tmp_path / "b.png", history).verdict == Verdict.EDITED


def test_a_foreign_image_is_unknown(
    clone_with_experiment: Clone,
    why: Why,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "foreign.png")
    (tmp_path / "text.png").write_text("not an image")
    for name in ("foreign.png", "text.png"):
        code, answer = why(tmp_path / name)
        assert code == 1 and answer["verdict"] == Verdict.UNKNOWN and not answer["found_in"] and not answer["stamp"]
    monkeypatch.chdir(clone_with_experiment.root)
    assert main(["why", str(tmp_path / "foreign.png")]) == 1
    assert "foreign.png is not a known result: it has no Omokage metadata" in capsys.readouterr().out
    assert main(["why", str(tmp_path / "missing.png")]) == 2
    assert "missing.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "[" * 100_000,
        "{}",
        "7",
        '{"figure": "a.png", "runs": 5}',
        '{"figure": "a.png", "runs": {"train": {"params": {}}}}',
        '{"compare": []}',
        '{"figure": "a.png", "params": "x"}',
        '{"figure": ["a.png"]}',
    ],
)
def test_malformed_metadata_is_ignored(tmp_path: Path, text: str) -> None:
    metadata = PngInfo()
    metadata.add_itxt(KEY, text)
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png", pnginfo=metadata)
    with History(tmp_path) as history:
        assert identify(tmp_path / "x.png", history).verdict == Verdict.UNKNOWN


@pytest.mark.parametrize("compare", [{"runs": 7}, {"runs": [7]}, {"runs": "HEAD"}, {"runs": ["no-such-run"]}, {}])
def test_malformed_metadata_of_a_comparison_gives_no_command(tmp_path: Path, compare: dict[str, Any]) -> None:
    save_png(Image.new("RGB", (9, 9)), tmp_path / "x.png", {"compare": compare, "deps": {"no-such-run": {}}})
    with History(tmp_path) as history:
        assert find_commands(Lineage(history, identify(tmp_path / "x.png", history))) == []


def test_a_figure_of_a_removed_experiment_is_described_by_its_metadata_alone(
    copy_clone: Callable[[], Clone], clone_with_experiment: Clone, tmp_path: Path
) -> None:
    (tmp_path / "x.png").write_bytes(read_from_revision(clone_with_experiment, FIGURES / "samples.png"))
    with History(copy_clone().root) as history:
        found = identify(tmp_path / "x.png", history)
    assert found.verdict == Verdict.UNCONFIRMED and not found.locations
    assert (
        found.description == "has metadata that no record confirms, although the pixels match the hash in the metadata"
    )
    assert found.stamp["runs"]["train"]["params"]["lr"] == 1e-3


def test_metadata_of_another_run_on_recorded_pixels_is_not_confirmed(
    clone_with_experiment: Clone, why: Why, tmp_path: Path
) -> None:
    original = clone_with_experiment.root / FIGURES / "samples.png"
    stamp = read_stamp(original)
    stamp["runs"]["train"]["params"]["lr"] = 0.5
    save_png(read_frames(original)[0], tmp_path / "x.png", stamp)
    code, answer = why(tmp_path / "x.png")
    assert code == 0 and answer["verdict"] == Verdict.UNCONFIRMED
    assert "the metadata of a different run" in answer["description"]


@pytest.mark.parametrize("name", ["report.html", "report.md", "metrics.json"])
def test_reports_and_tables_are_identified_and_edits_of_them_detected(
    clone_with_experiment: Clone, why: Why, tmp_path: Path, name: str
) -> None:
    original = clone_with_experiment.root / "results" / name
    code, answer = why(original)
    assert code == 0 and answer["output"] == f"results/{name}" and answer["params"]["train"]["lr"] == 0.004
    assert answer["data"]["name"] == "DiceBear avatars: adventurer" and answer["data"]["pictures"] == 48
    (tmp_path / name).write_text(original.read_text().replace("i", "j", 1))
    code, answer = why(tmp_path / name)
    assert code == 1
    assert answer["verdict"] == (Verdict.UNKNOWN if name.endswith("json") else Verdict.EDITED)


def test_the_commit_with_the_code_and_parameters_of_a_figure_is_named(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    run_commit = clone.run("git", "rev-parse", "--short", "HEAD").stdout.strip()
    module = clone.root / "src" / "omokage" / "figures" / "loss.py"
    module.write_text(module.read_text() + "\n# changed\n")
    clone.commit("other code, the same results")
    with History(clone.root) as history:
        lineage = Lineage(history, identify(clone.root / FIGURES / "loss.png", history))
        assert lineage.changed_code == ["src/omokage/figures/loss.py"]
        assert len(lineage.revisions) == 3
        assert find_commands(lineage) == [f"git checkout {run_commit} && dvc repro"]
        unaffected = Lineage(history, identify(clone.root / FIGURES / "samples.png", history))
        assert unaffected.changed_code == [] and find_commands(unaffected)[0] == "dvc repro figures"


def test_scores_of_other_samples_are_not_shown(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    path = clone.root / "dvc.lock"
    head, evaluate, tail = path.read_text().partition("  evaluate:\n")
    md5 = get_hashes(load_yaml(path)["stages"]["evaluate"], "deps")["results/samples.safetensors"]
    for samples, is_shown in ((md5, True), ("a" * 32, False)):
        path.write_text(head + evaluate + tail.replace(md5, samples, 1))
        with History(clone.root) as history:
            lineage = Lineage(history, identify(clone.root / FIGURES / "samples.png", history))
            assert bool(lineage.scores) == is_shown


def test_an_experiment_with_old_names_is_explained_under_the_current_names(
    copy_clone: Callable[[], Clone], tmp_path: Path
) -> None:
    clone = copy_clone()
    commit_old_names(clone, "results/figures/scores.png")
    (tmp_path / "x.png").write_bytes((clone.root / FIGURES / "scores.png").read_bytes())
    with History(clone.root) as history:
        old = history.revision("HEAD")
        assert b'"guidance": 2.0' in (history.read(old, "dvc.lock") or b"")
        assert history.locks(old)["sample"]["params"].keys() >= {"guidance_scale", "timestep_spacing"}
        lineage = Lineage(history, identify(tmp_path / "x.png", history))
        assert lineage.params["sample"]["guidance_scale"] == 2.0 and "guidance" not in lineage.params["sample"]
        assert "extractor_weights" in lineage.params and "weights" not in lineage.params
        assert lineage.changed_params == lineage.changed_packages == {} and lineage.changed_code == []
        commit = clone.run("git", "rev-parse", "--short", "HEAD").stdout.strip()
        assert find_commands(lineage) == ["dvc repro figures", f"git checkout {commit} && dvc repro"]
    clone.set_params(guidance_scale=3.0)
    with History(clone.root) as history:
        lineage = Lineage(history, identify(tmp_path / "x.png", history))
        assert lineage.changed_params == {"guidance_scale": (2.0, 3.0)}
        assert find_commands(lineage)[-1] == "dvc exp run -S guidance_scale=2.0 figures"


def test_why_loads_neither_torch_nor_dvc(finished_clone: Clone) -> None:
    code = (
        "import sys; from omokage.cli.main import main; main(['why', 'results/figures/loss.png']);"
        "assert not {'torch', 'dvc', 'matplotlib', 'pandas'} & set(sys.modules)"
    )
    finished_clone.run(sys.executable, "-c", code, PYTHONPATH=str(ROOT / "src"))


@pytest.mark.parametrize("value", ["ddim", "true", "null", "1e-4", "a b", 1e-4, True, [1, 2], ["ffffff", "000000"]])
def test_a_setting_is_parsed_as_the_value_that_it_was_made_from(value: object) -> None:
    assert parse_yaml(render_setting(value), "a value") == value
