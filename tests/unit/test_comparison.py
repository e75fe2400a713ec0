"""What the comparison and the gallery show: scores and their best, samples, runs, times and commands."""

import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.gallery_checkout import (
    ARABIC,
    EXPERIMENTS,
    HOSTILE,
    JAPANESE,
    METRICS,
    git,
    make_checkout,
    make_samples,
    write_run,
)
from support.html_parsers import Elements
from support.report_fixtures import GOOD_RUN

from omokage.cli.main import main
from omokage.comparison import runs, scores
from omokage.comparison.gallery_runs import find_common_values, find_unusual, read_runs
from omokage.comparison.samples import cut_samples
from omokage.comparison.scores import Bar, ScoreChart, chart_scores
from omokage.comparison.template import format_setting
from omokage.figures import samples as samples_figure
from omokage.provenance.history import History

NUMBERS = st.floats(-1e6, 1e6)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkout(tmp_path_factory.mktemp("gallery") / "checkout")


@pytest.fixture
def omokage(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """A function that runs an `omokage` command in the checkout, and returns the exit code."""
    monkeypatch.chdir(checkout)
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("values", "marks", "verdict"),
    [
        ([(30, 28, 32), (40, 38, 42)], ["best", ""], "Best: a."),
        ([(30, 28, 32), (31, 29, 33)], ["best", "overlaps"], "Best: a. The interval of b overlaps that of the best."),
        ([(30, 28, 32), (31, None, None)], ["best", "overlaps"], "Best: a. The interval of b overlaps"),
        ([(30, None, None), (31, None, None)], ["best", ""], "Best: a."),
        (
            [(30, None, None), (30, None, None), (31, None, None)],
            ["best, tied"] * 2 + [""],
            "a and b, which are equal.",
        ),
        ([(30, 28, 32), (30, 28, 32)], ["", ""], "All values are equal."),
        ([(30, 28, 32), (None, None, None)], ["", ""], ""),
    ],
)
def test_the_best_score_is_marked_with_ties_and_overlaps(
    values: list[tuple[float | None, ...]], marks: list[str], verdict: str
) -> None:
    keys = ("distance", "distance_low", "distance_high")
    metrics = [dict(zip(keys, item, strict=True)) for item in values]
    (chart,) = chart_scores(metrics, ["a", "b", "c"][: len(values)], True) if values[0][0] else []
    assert [bar.mark for bar in chart.bars] == marks
    assert verdict in chart.verdict.translate({0x2068: None, 0x2069: None})
    (unmarked,) = chart_scores(metrics, ["a", "b", "c"][: len(values)], False)
    assert not any(bar.mark for bar in unmarked.bars) and unmarked.verdict == ""


def test_higher_is_better_for_recall() -> None:
    (chart,) = chart_scores([{"recall": 0.5}, {"recall": 0.7}], ["a", "b"], True)
    assert [bar.mark for bar in chart.bars] == ["", "best"]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1))
def test_places_on_an_axis_keep_the_order_and_stay_inside(values: list[tuple[float, float]]) -> None:
    chart = ScoreChart("", "", [Bar(value, None, None, floor) for value, floor in values], "")
    numbers = sorted({number for pair in values for number in pair} | {0.0})
    places = [chart.place(number) for number in numbers]
    assert places == sorted(places) and places[0] >= 0 and places[-1] <= 100


def test_every_score_has_a_label_or_is_a_setting() -> None:
    known = {*scores.LABELS, *scores.GROUP_LABELS, *scores.SETTINGS, *scores.NO_SCORES}
    keys = {re.sub(f"_({'|'.join(scores.PARTS)})$", "", key) for key in (*GOOD_RUN.metrics, "distance_train")}
    assert keys - known == set()


def test_scores_with_an_older_meaning_are_not_compared() -> None:
    older = {"distance": 1.0, "copied": 0.01, "copy_ratio": 0.8}
    assert scores.drop_older_scores(older) == {"distance": 1.0}
    assert scores.drop_older_scores(older | {"copies": {}}) == older | {"copies": {}}


def is_like(cut: NDArray[np.uint8], images: NDArray[np.uint8]) -> bool:
    """Return whether images of noise are the same but for the 256 colours of their figure."""
    return cut.shape == images.shape and bool(np.abs(cut.astype(int) - images).mean() < 20)


@settings(max_examples=20)
@given(st.integers(8, 96), st.integers(1, 40), st.integers(1, 8))
def test_samples_are_cut_out_of_their_figure(image_size: int, count: int, grid_side: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 3, image_size, image_size), np.uint8)
    samples_figure.plot(images, images, grid_side=grid_side).save(buffer := io.BytesIO(), "PNG")
    cut = cut_samples(buffer.getvalue(), image_size, 12)
    assert cut is not None and 1 <= len(cut) <= 12
    assert is_like(cut, images[: len(cut)])
    assert cut_samples(buffer.getvalue(), 0, 12) is None
    assert cut_samples(buffer.getvalue()[:-40], image_size, 12) is None
    assert cut_samples(b"no image", image_size, 12) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(), st.lists, max_leaves=8))
def test_a_value_is_shown_without_brackets(value: object) -> None:
    assert not set(format_setting(value)) & set("[]{}\"'") and format_setting(value)


def test_the_gallery_has_equal_runs_once(checkout: Path) -> None:
    with History(checkout) as history:
        found, left_out = read_runs(history, 100)
        newest, older = read_runs(history, 1)
    assert left_out == 0 and len(newest) == 1 and older == len(found) - 1
    first, second = (git(checkout, "rev-parse", "--short", name) for name in ("main~1", "main"))
    assert {run.name for run in found} == {*EXPERIMENTS, first}
    (commit,) = (run for run in found if run.revision.kind == "commit")
    assert commit.others == [second, "workspace"] and commit.revision.subject == "first run"
    assert commit.command == f"git checkout {first} && dvc repro"
    commands = {run.name: run.command for run in found}
    assert commands[ARABIC] == f"dvc exp apply '{ARABIC}' && dvc repro"
    # Five stages of 30 s each.
    assert all(run.total_seconds == 150 and run.thumbnail for run in found)


def test_parameters_are_compared_with_those_of_most_runs(checkout: Path) -> None:
    with History(checkout) as history:
        found, _ = read_runs(history, 100)
    common = find_common_values(found)
    assert common == {"lr": None, "steps": "200"}
    unusual = {run.name: find_unusual(run, common) for run in found}
    assert unusual[JAPANESE] == {"lr": 0.001}
    assert [values for name, values in unusual.items() if name not in EXPERIMENTS] == [{"lr": 0.01, "steps": 100}]


def test_a_thumbnail_is_made_once(checkout: Path) -> None:
    folder = checkout / ".dvc/tmp/omokage/thumbnails"
    with History(checkout) as history:
        before = {run.name: run.thumbnail for run in read_runs(history, 100)[0]}
        files = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
        assert len(files) == len(before) == 4
        assert {run.name: run.thumbnail for run in read_runs(history, 100)[0]} == before
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == files


def test_a_time_that_may_be_of_another_run_is_unknown(tmp_path: Path) -> None:
    root = make_checkout(tmp_path / "checkout")
    timings = json.loads((root / "results/timings.json").read_text())
    timings["train"]["other"] = 60.0
    (root / "results/timings.json").write_text(json.dumps(timings))
    write_run(root, 0.02, 36.0)
    (root / "results/timings.json").write_text(json.dumps(timings))
    with History(root) as history:
        found, _ = read_runs(history, 100)
    (workspace,) = (run for run in found if run.revision.kind == "workspace")
    assert found[0] == workspace and workspace.command == "dvc repro"
    assert workspace.total_seconds is None and "train" not in workspace.seconds and workspace.seconds["sample"] == 30


def test_the_gallery_is_one_safe_file(omokage: Callable[..., int], checkout: Path, tmp_path: Path) -> None:
    assert omokage("gallery", "--out", tmp_path / "a.html") == omokage("gallery", "--out", tmp_path / "b.html") == 0
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == html
    elements = Elements(html)
    assert elements.tags.count("img") == 4 and all(address.startswith("data:") for address in elements.addresses)
    assert HOSTILE not in html and JAPANESE in html and str(checkout) not in html
    names = re.findall(r"<h2><bdi>(.*?)</bdi></h2>", html)
    assert [names.index(name) for name in (ARABIC, JAPANESE)] == [0, 3]
    assert omokage("gallery", "--out", tmp_path / "a.html") == 2


def test_json_has_the_same_runs(omokage: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert omokage("gallery", "--json") == 0
    listed = {run["name"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert listed[JAPANESE]["scores"] == METRICS | {"distance": 50.0, "distance_low": 48.0, "distance_high": 52.0}
    assert listed[HOSTILE]["kind"] == "experiment" and not Path("gallery.html").exists()


def test_a_checkout_without_results_has_an_empty_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["gallery"]) == 0
    assert "No revision has results yet" in Path("gallery.html").read_text()


def test_a_comparison_shows_names_of_any_script_and_no_markup_of_them(
    omokage: Callable[..., int], checkout: Path, tmp_path: Path
) -> None:
    assert omokage("compare", *EXPERIMENTS, "main", "--out", tmp_path / "page.html") == 0
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert HOSTILE not in html and html.count(f"<bdi>{JAPANESE}</bdi>") > 10
    elements = Elements(html)
    assert elements.tags.count("img") == 4 * 12
    assert "cut out of its figure in git, which has\n12" in html
    text = " ".join(html.split())
    row = "".join(f"<td>{value}</td>" for value in ("0.001", "0.002", "0.003", "0.01"))
    assert f'<tr><th scope="row"><code>lr</code></th>{row}</tr>' in text
    assert text.index("Parameters that differ") < text.index("parameters are equal") < text.index("Fréchet distance")
    assert "<code>channel_mult</code></th><td>1, 2</td>" in text
    with History(checkout) as history:
        run = runs.read_run(history, ARABIC)
    assert run.samples is not None and is_like(run.samples, make_samples(2)[:12])


def test_a_name_that_is_not_text_is_shown_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_checkout(tmp_path / "checkout")
    base = git(root, "rev-parse", "main")
    write_run(root, 0.5, 20.0)
    git(root, "add", "-A")
    tree = git(root, "write-tree")
    commit = git(root, "commit-tree", tree, "-m", "x")
    git(root, "update-ref", os.fsdecode(f"refs/exps/{base[:2]}/{base[2:]}/".encode() + b"\xff\xfe"), commit)
    git(root, "reset", "-q", "--hard")
    monkeypatch.chdir(root)
    assert main(["gallery"]) == 0
    assert f"<bdi>{commit[:12]}</bdi>" in Path("gallery.html").read_text(encoding="utf-8")
