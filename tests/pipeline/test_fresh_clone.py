"""A fresh clone without `dvc pull`: `omokage why`, `stale` and `audit` answer from dvc.lock and the figures in git."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.clone import ROOT, Clone
from support.runs import STAGES

from omokage.cli.main import main
from omokage.config.yaml_file import load_yaml
from omokage.pipeline.dvc_lock import hash_md5
from omokage.pipeline.stale import find_stale
from omokage.provenance.audit import audit_outputs
from omokage.provenance.identify import Verdict
from omokage.stamps.records import FOLDER
from omokage.stamps.stamp import read_stamp, save_png

FIGURES = Path("results/figures")
Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def fresh(finished_clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A clone by git of the finished clone. It is the current folder."""
    finished_clone.run("git", "clone", "-q", str(finished_clone.root), str(tmp_path / "fresh"))
    monkeypatch.chdir(tmp_path / "fresh")
    return Clone(tmp_path / "fresh")


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """A function that runs an omokage command with --json, and returns the exit code and the answer."""

    def run(*arguments: object) -> tuple[int, Any]:
        code = main([*map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_no_record_is_in_git_and_git_ignores_all_of_them(finished_clone: Clone, fresh: Clone) -> None:
    assert len(list((finished_clone.root / FOLDER).glob("*.json"))) == len(STAGES)
    assert finished_clone.run("git", "status", "--porcelain").stdout == ""
    assert not list((fresh.root / FOLDER).glob("*.json"))
    assert "results/runs" not in finished_clone.dvc("metrics", "show").stdout


def test_a_file_is_identified_by_bytes_pixels_or_metadata(
    finished_clone: Clone, fresh: Clone, ask: Ask, tmp_path: Path
) -> None:
    with Image.open(fresh.root / FIGURES / "samples.png") as image:
        image.convert("RGB").save(tmp_path / "copy.png")
    figures = [fresh.root / FIGURES / "samples.png", tmp_path / "copy.png"]
    results = [finished_clone.root / out for out in ("results/model.safetensors", "data/faces", "results/loss.csv")]
    for path in (*figures, *results):
        code, answer = ask("why", path)
        assert code == 0 and answer["verdict"] == Verdict.RECORDED
        assert answer["params"]["faces"]["image_size"] == 16
        assert ("train" in answer["params"]) == (path.name != "faces")
        assert [revision["kind"] for revision in answer["found_in"]] == ["workspace", "commit"]
        assert answer["params_changed"] == answer["packages_changed"] == {} and answer["code_changed"] == []
    stamp = read_stamp(figures[0])
    save_png(Image.new("RGB", (9, 9)), tmp_path / "edited.png", stamp)
    code, answer = ask("why", tmp_path / "edited.png")
    assert code == 1 and answer["verdict"] == Verdict.EDITED and answer["output"] == "results/figures/samples.png"
    assert (fresh.root / ".dvc/tmp/omokage/blobs.json").is_file()
    assert fresh.run("git", "status", "--porcelain").stdout == ""


def test_only_what_a_file_depends_on_is_named(finished_clone: Clone, fresh: Clone, ask: Ask) -> None:
    fresh.set_params(lr=0.1)
    _, archive = ask("why", finished_clone.root / "data/pictures.zip")
    assert archive["params"].keys() == {"download"} and archive["params_changed"] == {}
    assert archive["reproduce_with"][0] == "dvc repro download"
    assert not [command for command in archive["reproduce_with"] if "dvc exp run" in command]
    _, model = ask("why", finished_clone.root / "results/model.safetensors")
    assert model["params"].keys() == {"download", "detect", "faces", "train"}
    assert model["params_changed"] == {"lr": {"recorded": 0.004, "current": 0.1}}
    assert model["reproduce_with"][-1] == "dvc exp run -S lr=0.004 train"
    for name in ("results/metrics.json", "results/report.md", "results/figures/scores.png"):
        listed = [key for values in ask("why", fresh.root / name)[1]["params"].values() for key in values]
        assert len(listed) == len(set(listed)) > 30 and "folder" not in listed


def test_changed_code_and_packages_of_a_table_are_named(fresh: Clone, ask: Ask) -> None:
    module = fresh.root / "src/omokage/training/muon.py"
    module.write_text(module.read_text() + "\n# changed\n")
    listing = fresh.root / "workflow/packages/train.txt"
    listing.write_text(re.sub(r"torch==.*", "torch==9.9", listing.read_text()))
    fresh.commit("changed")
    _, table = ask("why", fresh.root / "results/loss.csv")
    assert table["code_changed"] == ["src/omokage/training", "workflow/packages/train.txt"]
    first = fresh.run("git", "rev-parse", "--short", "HEAD~1").stdout.strip()
    assert table["reproduce_with"] == [f"git checkout {first} && dvc repro"]
    assert ask("why", fresh.root / "results/faces.json")[1]["code_changed"] == []


def test_a_mixed_dvc_lock_describes_no_run(fresh: Clone, ask: Ask) -> None:
    lock = fresh.root / "dvc.lock"
    head, train, tail = lock.read_text().partition("  train:\n")
    faces = next(out["md5"] for out in load_yaml(lock)["stages"]["faces"]["outs"] if out["path"] == "data/faces")
    lock.write_text(head + train + tail.replace(faces, "a" * 32 + ".dir"))
    # The commit still has a dvc.lock of one run.
    assert ask("why", fresh.root / "results/loss.csv")[1]["params"].keys() == {"download", "detect", "faces", "train"}
    fresh.run("git", "remote", "remove", "origin")
    fresh.run("git", "commit", "-q", "-a", "--amend", "-m", "mixed")
    _, answer = ask("why", fresh.root / "results/loss.csv")
    assert answer["verdict"] == Verdict.RECORDED and answer["params"] == {} and answer["reproduce_with"] == []


@pytest.mark.parametrize(("name", "verdict"), [("report.md", Verdict.UNCONFIRMED), ("loss.csv", Verdict.UNKNOWN)])
def test_a_result_that_dvc_lock_does_not_list_is_not_recorded(
    fresh: Clone, ask: Ask, name: str, verdict: Verdict
) -> None:
    lock = fresh.root / "dvc.lock"
    for out in ("report.html", "report.md", "loss.csv"):
        lock.write_text(lock.read_text().replace(hash_md5(fresh.root / "results" / out), "a" * 32))
    fresh.run("git", "remote", "remove", "origin")
    fresh.run("git", "commit", "-q", "-a", "--amend", "-m", "as after a run of Snakemake without DVC")
    answer = ask("why", fresh.root / "results" / name)[1]
    assert answer["verdict"] == verdict and answer["found_in"] == []
    assert answer["description"].endswith("if Snakemake made it without DVC, `dvc commit` records it")


def test_nothing_is_stale_although_data_are_missing(fresh: Clone, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    absent = [out for stage in STAGES.values() for out in stage.outs if out not in stage.outs_in_git]
    assert ask("stale") == (0, {"stale": {}, "not_in_checkout": absent})
    assert main(["stale"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["all outputs match the parameters, data and code"]
    assert re.fullmatch(r"not in this checkout: .* and \d+ more: run `dvc pull` or `dvc repro`", lines[0])
    # Snakemake must make what is missing.
    reasons = find_stale(fresh.root, load_yaml(fresh.root / "params.yaml"))
    assert reasons.keys() == STAGES.keys()
    assert reasons["train"][0] == "results/model.safetensors is not in this checkout: `dvc pull` may fetch it"

    (fresh.root / "results/loss.csv").write_text("edited")
    module = fresh.root / "src/omokage/figures/loss.py"
    module.write_text(module.read_text() + "\n")
    fresh.set_params(report_title="Other")
    code, answer = ask("stale")
    assert code == 1 and {name: found["reasons"] for name, found in answer["stale"].items()} == {
        "params": ["parameter report_title changed"],
        "train": ["results/loss.csv was changed after the stage wrote it"],
        **{name: ["stage train will run"] for name in ("sample", "transform")},
        "evaluate": ["stage sample will run"],
        "figures": [
            "src/omokage/figures changed",
            *(f"stage {name} will run" for name in ("train", "sample", "transform", "evaluate")),
        ],
        "report": [
            "parameter report_title changed",
            *(f"stage {name} will run" for name in ("train", "sample", "transform", "evaluate", "figures")),
        ],
    }


def test_a_record_of_a_later_run_than_dvc_lock_decides(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    values = load_yaml(clone.root / "params.yaml") | {"lr": 0.1}
    # As after a run of Snakemake without DVC.
    path = clone.root / FOLDER / "train.json"
    record = json.loads(path.read_text())
    record["params"]["lr"] = 0.1
    path.unlink()
    path.write_text(json.dumps(record))
    assert "train" not in find_stale(clone.root, values)
    (clone.root / FOLDER / "report.json").unlink()
    reasons = find_stale(clone.root, values, missing_is_stale=False)
    assert "train" not in reasons and "results/runs/train.json changed" in reasons["figures"]


def test_an_audit_checks_figures_by_dvc_lock_and_each_other(
    fresh: Clone, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answer = ask("audit")
    absent = [out for stage in STAGES.values() for out in stage.outs if out not in stage.outs_in_git]
    assert (code, answer["failed"], answer["not_checked"]) == (0, 0, len(absent))
    assert main(["audit"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("not checked, because not in this checkout: data/checked.txt, ")

    # The later figure is the one that differs.
    for name, run, key, value in (
        ("samples.png", "train", "params", {"lr": 0.1}),
        ("transformed.png", "train", "packages", {"torch": "9.9"}),
    ):
        figure = fresh.root / FIGURES / name
        stamp = read_stamp(figure)
        stamp["runs"][run][key] |= value
        with Image.open(figure) as image:
            save_png(image.convert("RGB"), figure, stamp)
    failures = {finding.path: finding.message for finding in audit_outputs(fresh.root) if finding.passed is False}
    message = "has metadata of a run of train that differs from the recorded run"
    assert failures == dict.fromkeys(("results/figures/samples.png", "results/figures/transformed.png"), message)
    assert main(["audit"]) == 1


def test_the_sheet_of_a_command_names_the_run_of_its_model(
    finished_clone: Clone, fresh: Clone, ask: Ask, tmp_path: Path
) -> None:
    model = read_stamp(fresh.root / FIGURES / "samples.png")["runs"]["train"]["outs"]["results/model.safetensors"]
    stamp = {"transform": {"how": "roundtrip", "steps": 4}, "model": model}
    save_png(Image.new("RGB", (9, 9)), tmp_path / "sheet.png", stamp)
    code, answer = ask("why", tmp_path / "sheet.png")
    assert code == 0 and answer["verdict"] == Verdict.UNCONFIRMED
    assert answer["params"].keys() == {"download", "detect", "faces", "train", "transform"}
    assert [revision["kind"] for revision in answer["found_in"]] == ["workspace", "commit"]
    assert answer["reproduce_with"][0] == "dvc repro train && omokage transform roundtrip IMAGE ... --steps 4"


def test_the_repository_has_no_records() -> None:
    assert not [name for name in Clone(ROOT).run("git", "ls-files", FOLDER).stdout.split() if name.endswith(".json")]
