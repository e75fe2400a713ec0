"""`omokage plan`, `stale` and `audit`, on a pipeline that really ran."""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Clone
from PIL import Image

from omokage import audit, cli, pipeline, provenance
from omokage import plan as forecast
from omokage.params import whole
from omokage.reruns import reruns

# For a change, some of the figures that it touches, and some that it leaves alone.
CHANGES = {
    "figure_dpi=50": ({"loss.png", "schedule.png", "data_card.png"}, {"samples.png", "denoising.gif"}),
    "sampler=ddim": ({"samples.png", "denoising.gif", "scores.png"}, {"loss.png", "schedule.png", "contact.png"}),
    "timesteps=21": ({"loss.png", "noising.png", "samples.png"}, {"contact.png", "data_card.png"}),
    "report_title=Other": (set(), {"loss.png", "samples.png"}),
}


def said(clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple:
    monkeypatch.chdir(clone.root)
    code = cli.main(words)
    return code, *capsys.readouterr()


@pytest.mark.parametrize("change", CHANGES)
def test_a_plan_names_the_stages_their_time_and_the_figures(
    finished: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    touched, left = CHANGES[change]
    before = sorted((path, path.stat().st_mtime_ns) for path in finished.root.rglob("*") if path.is_file())
    code, out, _ = said(finished, monkeypatch, capsys, "plan", "-S", change)
    lines = [re.split(r"\s{2,}", line) for line in out.splitlines()]
    assert code == 0
    assert [line[0].strip() for line in lines[:-2]] == reruns(pipeline.read(finished.root))[change.partition("=")[0]]
    assert all(re.fullmatch(r"(\d+ min )?\d+ s", line[1]) for line in lines[:-2])
    named = set(lines[-1][0].removeprefix("figures that may change: ").split(", "))
    assert touched <= named and not left & named
    assert sorted((path, path.stat().st_mtime_ns) for path in finished.root.rglob("*") if path.is_file()) == before


def test_what_a_plan_says_is_what_then_runs(copy_of: Callable[[], Clone], direct: Callable[[Clone], Clone]) -> None:
    clone = direct(copy_of())
    before = whole.load(clone.root / "params.yaml")
    values = forecast.changed(before, ["sampler=ddim", "eta=0.5"])
    steps = forecast.steps(clone.root, values)
    looks = forecast.figures(clone.root, values, steps)
    places = {name: clone.root / "results" / "figures" / name for name in looks}
    pixels = {name: provenance.pixels(path) for name, path in places.items()}
    assert not any(step.restored for step in steps)
    clone.set(sampler="ddim", eta=0.5)
    assert clone.repro() == [step.stage for step in steps]
    changed = {name for name, path in places.items() if provenance.pixels(path) != pixels[name]}
    # Not asked for here, the study says so in words; that it rests on a stage that ran is all a plan can know.
    assert {name for name, may in looks.items() if may} == changed | {"study.png", "study.svg"}
    back = forecast.steps(clone.root, before)
    assert [step.stage for step in back] == [step.stage for step in steps]
    clone.write_params(before)
    assert all(step.restored for step in back)
    assert clone.repro() == []


def test_an_impossible_plan_is_refused(
    finished: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for setting, complaint in (
        ("lrr=1", "lrr = 1 is no parameter"),
        ("lr", "-S lr: expected KEY=VALUE"),
        ("lr=[", "-S lr=[: the value is not valid YAML"),
        ("schedule=cubic", "schedule = 'cubic'"),
    ):
        code, out, err = said(finished, monkeypatch, capsys, "plan", "-S", setting)
        assert (code, out) == (1, "") and complaint in err and err.count("\n") == 1


def test_what_is_stale_is_named_with_the_reason(
    copy_of: Callable[[], Clone], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = copy_of()
    assert said(clone, monkeypatch, capsys, "stale")[:2] == (0, "all outputs match the parameters, data and code\n")
    code = clone.root / "src" / "omokage" / "figures" / "loss.py"
    code.write_text(code.read_text() + "\n")
    clone.set(kid_subsets=4)
    exit_code, out, _ = said(clone, monkeypatch, capsys, "stale")
    assert exit_code == 1
    assert re.search(r"^evaluate: parameter kid_subsets changed\n(  .*\n)*  results/metrics.json\n", out, re.MULTILINE)
    assert "figures: stage evaluate is to run\n" in out
    clone.set(kid_subsets=3)
    listing = clone.root / "workflow" / "packages" / "report.txt"
    (jinja,) = re.findall(r"Jinja2==(.*)", listing.read_text())
    listing.write_text(listing.read_text().replace(jinja, "99.0"))
    out = said(clone, monkeypatch, capsys, "stale")[1]
    assert f"report: package Jinja2 changed: {jinja} before, 99.0 now\n" in out
    assert "figures: src/omokage/figures/loss.py changed\n" in out


def test_an_audit_proves_a_run_and_denies_what_was_touched(
    copy_of: Callable[[], Clone], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = copy_of()
    code, out, _ = said(clone, monkeypatch, capsys, "audit")
    assert code == 0 and re.fullmatch(r"\d+ proven, 0 wrong, 0 not here\n", out)
    assert "results/model.safetensors is what train made" in said(clone, monkeypatch, capsys, "audit", "--all")[1]

    results = clone.root / "results"
    (results / "metrics.json").write_text("{}\n")
    (results / "figures" / "loss.png").unlink()
    drawn = results / "figures" / "scores.png"
    stamp = provenance.read(drawn)
    image = Image.open(drawn).convert("RGB")
    image.putpixel((3, 3), (1, 2, 3))
    provenance.save_png(image, drawn, stamp)
    shutil.rmtree(clone.root / "data" / "faces")
    code, out, _ = said(clone, monkeypatch, capsys, "audit")
    assert code == 1
    assert re.search(r"results/metrics\.json has MD5 [0-9a-f]{32}, where evaluate made [0-9a-f]{32}\n", out)
    assert "results/figures/loss.png is missing: `dvc repro` makes it (figures)\n" in out
    assert "results/figures/scores.png shows other pixels than were drawn\n" in out
    assert "data/faces is not here: `dvc pull` or `dvc repro` brings it\n" in out
    assert "results/runs/evaluate.json tells of another results/metrics.json than is here\n" in out
    assert "results/runs/figures.json tells of another results/figures/scores.png than is here\n" in out
    assert re.search(r"\d+ proven, 6 wrong, 1 not here\n", out)


def lies(clone: Clone) -> dict[str, str]:
    """What an audit denies."""
    return {finding.path: finding.says for finding in audit.findings(clone.root) if finding.proven is False}


def test_an_audit_denies_what_only_seems_to_fit(finished: Clone, copy_of: Callable[[], Clone]) -> None:
    assert lies(finished) == {}
    clone = copy_of()
    lock, report = clone.root / "dvc.lock", clone.root / "results" / "report.md"
    (clone.root / "results" / "figures" / "mine.png").write_bytes(b"")
    written = lock.read_text()
    stamped = report.read_text()
    report.write_text(stamped.replace('"lr":', '"lr":1'))
    # Whoever edits a result may write its hash into dvc.lock as well.
    lock.write_text(written.replace(md5(report.with_suffix(".md"), stamped), md5(report)))
    assert lies(clone) == {
        "results/figures/mine.png": "is no stage's output: nothing vouches for it",
        "results/runs/report.json": "tells of another results/report.md than is here",
        "results/report.md": "is stamped with another run of train than its record",
    }
    report.write_text(stamped)
    (clone.root / "results" / "figures" / "mine.png").unlink()
    faces = next(out["md5"] for out in whole.load(lock)["stages"]["faces"]["outs"] if out["path"] == "data/faces")
    head, train, tail = written.partition("  train:\n")
    for change, path, says in (
        (
            head + train + tail.replace(faces, "0" * 32, 1),
            "dvc.lock",
            "has train take another data/faces than faces made",
        ),
        (written.replace("lr: 0.004", "lr: 0.003"), "results/runs/train.json", "has other parameters than dvc.lock"),
        (
            written.replace("  report:\n", "  gone:\n"),
            "dvc.lock",
            "does not know the stage report: `dvc repro` runs it",
        ),
    ):
        lock.write_text(change)
        assert lies(clone)[path] == says


def md5(path: Path, text: str | None = None) -> str:
    return hashlib.md5(path.read_bytes() if text is None else text.encode()).hexdigest()


def test_a_figure_of_another_run_is_found_out(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    drawn = clone.root / "results" / "figures" / "samples.png"
    stamp = provenance.read(drawn)
    stamp["runs"]["train"]["params"]["lr"] = 0.1
    with Image.open(drawn) as image:
        provenance.save_png(image.convert("RGB"), drawn, stamp)
    says = [finding.says for finding in audit.findings(clone.root) if finding.path == "results/figures/samples.png"]
    assert "is stamped with another run of train than its record" in says
    assert any(one.startswith("has MD5") for one in says)


def test_there_is_nothing_to_audit_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["audit"]) == 1
    assert "lies in no checkout of the pipeline" in capsys.readouterr().err
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    assert cli.main(["audit"]) == 1
    assert "dvc.lock is missing: nothing has run yet" in capsys.readouterr().err
