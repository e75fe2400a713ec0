"""`omokage plan`, `omokage stale` and `omokage audit`, with a pipeline that really ran."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from support.clone import Clone
from support.old_names import commit_old_names

from omokage.base.checkout import work_folder
from omokage.cli.main import main
from omokage.config.yaml_file import load_yaml
from omokage.pipeline.graph import read_stages
from omokage.pipeline.plan import apply_settings, plan_steps
from omokage.pipeline.reruns import find_reruns
from omokage.pipeline.stale import find_stale
from omokage.provenance.affected import find_affected
from omokage.provenance.audit import audit_outputs
from omokage.provenance.blob_cache import BlobCache
from omokage.stamps.records import FOLDER
from omokage.stamps.stamp import hash_pixels, read_stamp, save_png

# For each change, some of the figures that it affects, and some that it does not affect.
CHANGES = {
    "figure_dpi=50": ({"loss.png", "schedule.png", "data_card.png"}, {"samples.png", "denoising.gif"}),
    "sampler=ddim": ({"samples.png", "denoising.gif", "scores.png"}, {"loss.png", "schedule.png", "contact.png"}),
    "timesteps=21": ({"loss.png", "noising.png", "samples.png"}, {"contact.png", "data_card.png"}),
    "report_title=Other": (set(), {"loss.png", "samples.png"}),
}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs an omokage command in a clone, and returns the exit code, the output and the errors."""

    def run(clone: Clone, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(clone.root)
        for name, value in clone.settings().items():
            monkeypatch.setenv(name, value)
        code = main(arguments)
        return code, *capsys.readouterr()

    return run


def list_times(clone: Clone) -> list[tuple[Path, int]]:
    # A clone of another test shares git's objects by hard links, and its commits renew their times.
    objects = clone.root / ".git" / "objects"
    # Another test may ask about this clone's history at the same time.
    blob_cache = work_folder(clone.root) / "blobs.json"
    files = (path for path in clone.root.rglob("*") if path.is_file() and path != blob_cache)
    return sorted((path, 0 if objects in path.parents else path.stat().st_mtime_ns) for path in files)


@pytest.mark.parametrize("change", CHANGES)
def test_a_plan_lists_stages_with_times_and_figures_and_changes_nothing(
    finished_clone: Clone, run_command: Run, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The times below leave out this cache, which other tests may write.
    monkeypatch.setattr(BlobCache, "save", lambda _: pytest.fail("a plan wrote the cache of git's blobs"))
    affected, unaffected = CHANGES[change]
    before = list_times(finished_clone)
    code, out, _ = run_command(finished_clone, "plan", "-S", change)
    lines = [re.split(r"\s{2,}", line) for line in out.splitlines()]
    assert code == 0
    reruns = find_reruns(read_stages(finished_clone.root))
    assert [line[0].strip() for line in lines[:-3]] == reruns[change.partition("=")[0]]
    # How long the figures take at another resolution is not known before they have been plotted at it.
    unknown = ["figures"] if change == "figure_dpi=50" else []
    assert [line[0].strip() for line in lines[:-3] if line[1] == "unknown"] == unknown
    assert all(re.fullmatch(r"(\d+ min )?\d+ s|unknown", line[1]) for line in lines[:-3])
    figures = set(lines[-2][0].removeprefix("figures that may change: ").split(", "))
    assert affected <= figures and not unaffected & figures
    metrics = json.loads((finished_clone.root / "results" / "metrics.json").read_text())
    floor = f"(real images: {metrics['distance_floor']:g})"
    assert lines[-1] == [f"report: results/report.html, Fréchet distance {metrics['distance']:g} {floor}"]
    plan = json.loads(run_command(finished_clone, "plan", "--json", "-S", change)[1])
    assert [step["stage"] for step in plan["stages"]] == [line[0].strip() for line in lines[:-3]]
    assert set(plan["figures"]) == figures - {"none"} and plan["unknown"] == unknown
    assert unknown or plan["seconds"] == pytest.approx(sum(step["seconds"] for step in plan["stages"]))
    assert plan["report"]["distance"] == metrics["distance"]
    assert list_times(finished_clone) == before


def test_the_planned_stages_run_and_the_planned_figures_change(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    before = load_yaml(clone.root / "params.yaml")
    values = apply_settings(before, ["sampler=ddim", "eta=0.5"])
    steps = plan_steps(clone.root, values)
    affected = find_affected(clone.root, values, [step.stage for step in steps])
    paths = {name: clone.root / "results" / "figures" / name for name in affected}
    pixels = {name: hash_pixels(path) for name, path in paths.items()}
    assert not any(step.restored for step in steps)
    clone.set_params(sampler="ddim", eta=0.5)
    assert clone.repro() == [step.stage for step in steps]
    changed = {name for name, path in paths.items() if hash_pixels(path) != pixels[name]}
    # The study is empty, so its figure stays the same; the plan only knows that it depends on a stage that runs.
    assert {name for name, may_change in affected.items() if may_change} == changed | {"study.png", "study.svg"}
    steps_back = plan_steps(clone.root, before)
    assert [step.stage for step in steps_back] == [step.stage for step in steps]
    clone.write_params(before)
    # The report reads timings.json, to which this run has added its times.
    assert [step.stage for step in steps_back if not step.restored] == ["report"]
    assert clone.repro() == ["report"]


def test_a_plan_with_an_invalid_setting_is_refused(finished_clone: Clone, run_command: Run) -> None:
    for setting, message in (
        ("lrr=1", "lrr = 1 is not a parameter"),
        ("lr", "-S lr: expected KEY=VALUE"),
        ("lr=[", "-S lr=[: the value is not valid YAML"),
        ("schedule=cubic", "schedule = 'cubic'"),
    ):
        code, out, err = run_command(finished_clone, "plan", "-S", setting)
        assert (code, out) == (2, "") and message in err and err.count("\n") == 1


def test_a_plan_says_which_stages_it_knows_no_time_of(copy_clone: Callable[[], Clone], run_command: Run) -> None:
    clone = copy_clone()
    path = clone.root / ".dvc" / "tmp" / "omokage" / "timings.json"
    path.write_text(json.dumps([record for record in json.loads(path.read_text()) if record["stage"] != "train"]))
    out = run_command(clone, "plan", "-S", "lr=0.1")[1]
    assert re.search(r"^train +unknown  parameter lr changed$", out, re.MULTILINE)
    assert re.search(r"^\d+ stages, about .* s, without train$", out, re.MULTILINE)
    path.write_text("<<<<<<< ours")
    assert "stages, time unknown on this machine\n" in run_command(clone, "plan", "-S", "lr=0.1")[1]
    plan = json.loads(run_command(clone, "plan", "-S", "lr=0.1", "--json")[1])
    assert plan["seconds"] is None and "train" in plan["unknown"]


def test_stale_outputs_are_listed_with_the_reasons(copy_clone: Callable[[], Clone], run_command: Run) -> None:
    clone = copy_clone()
    assert run_command(clone, "stale")[:2] == (0, "all outputs match the parameters, data and code\n")
    module = clone.root / "src" / "omokage" / "figures" / "loss.py"
    module.write_text(module.read_text() + "\n")
    clone.set_params(kid_subsets=4)
    code, out, _ = run_command(clone, "stale")
    assert code == 1
    assert re.search(r"^evaluate: parameter kid_subsets changed\n(  .*\n)*  results/metrics.json\n", out, re.MULTILINE)
    assert "figures: stage evaluate will run\n" in out
    clone.set_params(kid_subsets=3)
    packages = clone.root / "workflow" / "packages" / "report.txt"
    (jinja,) = re.findall(r"Jinja2==(.*)", packages.read_text())
    packages.write_text(packages.read_text().replace(jinja, "99.0"))
    out = run_command(clone, "stale")[1]
    assert f"report: package Jinja2 changed: {jinja} before, 99.0 now\n" in out
    assert "figures: src/omokage/figures/loss.py changed\n" in out


def test_renamed_parameters_are_no_reason_to_run(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    commit_old_names(clone, "results/figures/scores.png")
    shutil.rmtree(clone.root / FOLDER)  # dvc.lock, which has the old names, now describes the runs
    values = load_yaml(clone.root / "params.yaml")
    reasons = find_stale(clone.root, values)
    assert reasons["extractor_weights"] == ["has not run yet"]
    assert not [reason for found in reasons.values() for reason in found if reason.startswith("parameter")]
    assert find_affected(clone.root, values, ["extractor_weights"])["scores.png"]
    assert not find_affected(clone.root, values, ["transform"])["scores.png"]


def test_an_audit_passes_a_run_and_fails_what_was_changed(copy_clone: Callable[[], Clone], run_command: Run) -> None:
    clone = copy_clone()
    code, out, _ = run_command(clone, "audit")
    assert code == 0 and re.fullmatch(r"\d+ passed, 0 failed, 0 not checked\n", out)
    assert "results/model.safetensors matches dvc.lock (stage train)\n" in run_command(clone, "audit", "--all")[1]

    results = clone.root / "results"
    (results / "metrics.json").write_text("{}\n")
    (results / "figures" / "loss.png").unlink()
    figure = results / "figures" / "scores.png"
    stamp = read_stamp(figure)
    image = Image.open(figure).convert("RGB")
    image.putpixel((3, 3), (1, 2, 3))
    save_png(image, figure, stamp)
    shutil.rmtree(clone.root / "data" / "faces")
    code, out, _ = run_command(clone, "audit")
    assert code == 1
    md5 = "[0-9a-f]{32}"
    assert re.search(rf"results/metrics\.json has MD5 {md5}, but dvc\.lock lists {md5} \(stage evaluate\)\n", out)
    assert "results/figures/loss.png is missing: run `dvc repro` (stage figures)\n" in out
    assert "results/figures/scores.png has pixels that differ from the recorded hash\n" in out
    assert "not checked, because not in this checkout: data/faces: run `dvc pull` or `dvc repro`\n" in out
    for record, path in (("evaluate", "results/metrics.json"), ("figures", "results/figures/scores.png")):
        assert f"results/runs/{record}.json lists a hash of {path} that differs from that of the file\n" in out
    assert re.search(r"\d+ passed, 6 failed, 1 not checked\n", out)


def list_failures(clone: Clone) -> dict[str, str]:
    return {finding.path: finding.message for finding in audit_outputs(clone.root) if finding.passed is False}


def compute_md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def test_an_audit_fails_edits_that_hide_in_dvc_lock(finished_clone: Clone, copy_clone: Callable[[], Clone]) -> None:
    assert list_failures(finished_clone) == {}
    clone = copy_clone()
    lock, report = clone.root / "dvc.lock", clone.root / "results" / "report.md"
    undeclared = clone.root / "results" / "figures" / "mine.png"
    undeclared.write_bytes(b"")
    original_lock, original_report = lock.read_text(), report.read_bytes()
    report.write_bytes(original_report.replace(b'"lr":', b'"lr":1'))
    # dvc.lock lists the hash of the edited report.
    lock.write_text(original_lock.replace(compute_md5(original_report), compute_md5(report.read_bytes())))
    assert list_failures(clone) == {
        "results/figures/mine.png": "is not an output of any stage",
        "results/runs/report.json": "lists a hash of results/report.md that differs from that of the file",
        "results/report.md": "has metadata of a run of train that differs from the recorded run",
    }
    report.write_bytes(original_report)
    undeclared.unlink()
    faces = next(out["md5"] for out in load_yaml(lock)["stages"]["faces"]["outs"] if out["path"] == "data/faces")
    head, train, tail = original_lock.partition("  train:\n")
    for edited, path, message in (
        (
            head + train + tail.replace(faces, "0" * 32, 1),
            "dvc.lock",
            "lists two hashes of data/faces: as an output of faces and as an input of train",
        ),
        (
            original_lock.replace("lr: 0.004", "lr: 0.003"),
            "results/runs/train.json",
            "lists parameters that differ from those in dvc.lock",
        ),
        (
            original_lock.replace("  report:\n", "  gone:\n"),
            "dvc.lock",
            "does not list stage report: run `dvc repro`",
        ),
    ):
        lock.write_text(edited)
        assert list_failures(clone)[path] == message


@pytest.mark.parametrize("table", ["code", "code_deps"])
def test_an_audit_fails_a_record_with_other_code_than_dvc_lock(copy_clone: Callable[[], Clone], table: str) -> None:
    clone = copy_clone()
    path = clone.root / "results" / "runs" / "train.json"
    record = json.loads(path.read_text())
    edited = next(name for name in record[table] if name.startswith("src/omokage/training"))
    record[table][edited] = "0" * 64
    path.unlink()  # it may be a link into DVC's cache
    path.write_text(json.dumps(record))
    message = f"lists a hash of {edited} that differs from that of the code in dvc.lock"
    assert list_failures(clone)["results/runs/train.json"] == message


def test_an_audit_fails_a_figure_with_metadata_of_another_run(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    figure = clone.root / "results" / "figures" / "samples.png"
    stamp = read_stamp(figure)
    stamp["runs"]["train"]["params"]["lr"] = 0.1
    with Image.open(figure) as image:
        save_png(image.convert("RGB"), figure, stamp)
    messages = [
        finding.message for finding in audit_outputs(clone.root) if finding.path == "results/figures/samples.png"
    ]
    assert "has metadata of a run of train that differs from the recorded run" in messages
    assert any(message.startswith("has MD5") for message in messages)


def test_an_audit_before_the_first_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["audit"]) == 2
    assert "is not inside a checkout: found no dvc.yaml" in capsys.readouterr().err
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    assert main(["audit"]) == 2
    assert "dvc.lock is missing: nothing has run yet" in capsys.readouterr().err
