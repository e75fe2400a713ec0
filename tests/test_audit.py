"""`omokage plan`, `stale` and `audit`, on a pipeline that really ran."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Clone
from PIL import Image

from omokage import audit, cli, provenance
from omokage import plan as forecast
from omokage.params import whole


def plots(names: str) -> str:
    """Both files of each plot."""
    return " ".join(f"{name}.{kind}" for name in names.split() for kind in ("png", "svg"))


# What a change of each reruns, beside `params`, and the figures it touches.
PLOTS = "loss noise_levels progress schedule scores study"
CHANGES = {
    "figure_dpi=50": ("figures report", f"data_card.png {plots(PLOTS)}"),
    "sampler=ddim": (
        "sample evaluate figures report",
        f"denoising.gif denoising.png neighbours.png samples.png {plots('progress scores study')}",
    ),
    "timesteps=21": (
        "train sample transform evaluate figures report",
        "between.png denoising.gif denoising.png neighbours.png noising.png samples.png transformed.png "
        + plots(PLOTS),
    ),
    "report_title=Other": ("report", ""),
}


def said(clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple:
    monkeypatch.chdir(clone.root)
    code = cli.main(words)
    return code, *capsys.readouterr()


@pytest.mark.parametrize("change", CHANGES)
def test_a_plan_names_the_stages_their_time_and_the_figures(
    finished: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    stages, figures = CHANGES[change]
    before = sorted((path, path.stat().st_mtime_ns) for path in finished.root.rglob("*") if path.is_file())
    code, out, _ = said(finished, monkeypatch, capsys, "plan", "-S", change)
    lines = [re.split(r"\s{2,}", line) for line in out.splitlines()]
    assert code == 0
    assert [line[0].strip() for line in lines[:-2]] == ["params", *stages.split()]
    assert all(re.fullmatch(r"(\d+ min )?\d+ s", line[1]) for line in lines[:-2])
    assert lines[-1] == [f"figures that may change: {', '.join(sorted(figures.split())) or 'none'}"]
    assert sorted((path, path.stat().st_mtime_ns) for path in finished.root.rglob("*") if path.is_file()) == before


def test_what_a_plan_says_is_what_then_runs(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    values = forecast.changed(whole.load(clone.root / "params.yaml"), ["sampler=ddim", "eta=0.5"])
    steps = forecast.steps(clone.root, values)
    looks = forecast.figures(clone.root, values, steps)
    places = {name: clone.root / "results" / "figures" / name for name in looks}
    pixels = {name: provenance.pixels(path) for name, path in places.items()}
    clone.set(sampler="ddim", eta=0.5)
    assert clone.repro() == [step.stage for step in steps]
    changed = {name for name, path in places.items() if provenance.pixels(path) != pixels[name]}
    may = {name for name, may in looks.items() if may}
    # Not asked for here, these two say so in words; that they rest on the stage that ran is all a plan can know.
    assert changed <= may and may - changed <= set(plots("progress study").split())


def test_an_impossible_plan_is_refused(
    finished: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for setting, complaint in (
        ("lrr=1", "lrr = 1 is no parameter"),
        ("lr", "-S lr: expected KEY=VALUE"),
        ("lr=[", "-S lr=[: the value is no YAML"),
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
    assert "evaluate: parameter kid_subsets changed\n  results/metrics.json\n" in out
    assert "figures: stage evaluate is to run\n" in out
    clone.set(kid_subsets=3)
    assert "figures: src/omokage/figures/loss.py changed\n" in said(clone, monkeypatch, capsys, "stale")[1]


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
    assert re.search(r"\d+ proven, 4 wrong, 1 not here\n", out)


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
    assert "dvc.lock is missing: nothing has run yet" in capsys.readouterr().err
