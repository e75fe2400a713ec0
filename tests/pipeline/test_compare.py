"""`omokage compare`: runs on one page, with the same numbers as DVC shows."""

import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from support.clone import Clone
from support.html_parsers import Elements
from support.old_names import commit_old_names
from support.runs import read_from_revision

from omokage.cli.main import main
from omokage.comparison import page, plots, runs
from omokage.pipeline.dvc_lock import hash_dependency, hash_md5
from omokage.provenance.history import History
from omokage.provenance.lineage import SAMPLES, SCORES
from omokage.stamps.stamp import read_stamp


@pytest.fixture
def compare(clone_with_experiment: Clone, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """A function that runs `omokage compare` in the clone, and returns the exit code."""
    monkeypatch.chdir(clone_with_experiment.root)
    return lambda *arguments: main(["compare", *map(str, arguments)])


def read_runs(clone: Clone, *names: str) -> list[runs.Run]:
    with History(clone.root) as history:
        return [runs.read_run(history, name) for name in names]


def test_a_page_shows_the_runs_in_columns(
    clone_with_experiment: Clone, compare: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("workspace", "other", "HEAD")
    assert compare(*names, "--out", tmp_path / "a" / "page.html") == 0
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["page-curves.png", "page-samples.png", "page-scores.png", "page.html"]
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "a" / name) for name in ("page.html", "page-curves.png", "page-scores.png", "page-samples.png")
    ]
    html = (tmp_path / "a" / "page.html").read_text()
    elements = Elements(html)
    assert elements.tags.count("img") == 3 and "script" in elements.tags
    assert all(address.startswith("data:") for address in elements.addresses)
    assert "url(" not in html and "@import" not in html
    text = " ".join(html.split())
    assert '<tr><th scope="row">lr</th><td>0.004</td><td>0.001</td><td>0.004</td></tr>' in text
    content = json.loads(read_from_revision(clone_with_experiment, Path(SCORES)))
    scores = [key for key in content if not key.endswith("_floor")]
    assert text.count('<th scope="row">') == len(scores) + len(["lr"])
    assert "Sample i starts from the same noise in every run" in text
    assert "different settings" not in text and "not all from one run" not in text

    assert compare(*names, "--out", tmp_path / "b" / "page.html") == 0
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert str(clone_with_experiment.root) not in html and str(tmp_path) not in html
    assert read_stamp(tmp_path / "a" / "page-curves.png")["compare"] == {
        "runs": list(names),
        "lr": [0.004, 0.001, 0.004],
    }
    assert main(["why", str(tmp_path / "a" / "page-scores.png")]) == 0
    assert "reproduce with omokage compare workspace other HEAD" in " ".join(capsys.readouterr().out.split())


def test_a_comparison_of_runs_that_have_changed_cannot_be_reproduced(
    copy_clone: Callable[[], Clone],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clone = copy_clone()
    monkeypatch.chdir(clone.root)
    assert main(["compare", "workspace", "HEAD", "--out", str(tmp_path / "page.html")]) == 0
    loss = clone.root / "results" / "loss.csv"
    loss.write_text(loss.read_text() + "\n")
    capsys.readouterr()
    assert main(["why", str(tmp_path / "page.html")]) == 0
    assert "reproduce with no command" in " ".join(capsys.readouterr().out.split())


def test_the_samples_of_a_column_have_the_same_number(clone_with_experiment: Clone) -> None:
    compared = read_runs(clone_with_experiment, "workspace", "other")
    first, second = (run.samples for run in compared)
    assert first is not None and second is not None
    assert np.array_equal(first, load_file(clone_with_experiment.root / SAMPLES)["samples"])
    assert first.shape == second.shape and not np.array_equal(first, second)
    sheet = plots.plot_samples(compared)
    assert sheet is not None
    pixels = np.asarray(sheet).astype(int)
    for samples in (first, second):
        enlarged = samples[1].transpose(1, 2, 0).repeat(6, 0).repeat(6, 1)
        left = 12 + 100
        column = pixels[:, left : left + 96]
        assert any(np.array_equal(column[top : top + 96], enlarged) for top in range(len(column) - 96))


def test_dvc_shows_the_same_numbers(clone_with_experiment: Clone, tmp_path: Path) -> None:
    clone = clone_with_experiment
    metrics = json.loads(clone.dvc("metrics", "diff", "HEAD", "other", "--json").stdout)["results/metrics.json"]
    tables = json.loads(clone.dvc("plots", "diff", "HEAD", "other", "--json", "-o", str(tmp_path)).stdout)["data"]
    head, other = read_runs(clone, "HEAD", "other")
    for key in ("distance", "kid"):
        assert (metrics[key]["old"], metrics[key]["new"]) == (head.metrics[key], other.metrics[key])
    for run in (head, other):
        rows = [row for row in tables[runs.LOSS][0]["content"]["data"]["values"] if row["rev"] == run.name]
        assert [float(row["loss"]) for row in rows] == run.loss["loss"].tolist()
    figures = [Path(figure["url"]).read_bytes() for figure in tables[runs.SAMPLES_FIGURE]]
    assert figures == [read_from_revision(clone, Path(runs.SAMPLES_FIGURE), name) for name in ("HEAD", "other")]


def test_the_figure_in_git_replaces_samples_that_are_not_in_the_cache(
    clone_with_experiment: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone_with_experiment.run("git", "clone", "-q", ".", str(tmp_path / "fresh"))
    monkeypatch.chdir(tmp_path / "fresh")
    assert main(["compare", "workspace", "HEAD~1"]) == 0
    html = Path("compare.html").read_text()
    # Each caption is also the alternative text of its image.
    assert html.count("cache has no samples of this run. This is its figure in git") == 4
    assert not Path("compare-samples.png").exists()
    with History(Path.cwd()) as history:
        run = runs.read_run(history, "HEAD~1")
    assert run.samples_figure is not None
    with Image.open(io.BytesIO(run.samples_figure)) as image:
        assert image.format == "PNG"


def test_a_run_under_old_names_has_no_other_parameters_code_or_packages(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    commit_old_names(clone, "results/figures/scores.png")
    clone.run("git", "checkout", "-q", "HEAD~1", "--", "results", "dvc.lock")
    compared = read_runs(clone, "workspace", "HEAD")
    assert runs.find_differences(compared) == [] and runs.find_other_differences(compared) == []
    assert "extractor_weights" in compared[1].runs and "weights" not in compared[1].runs


def test_different_code_data_and_packages_are_listed(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    assert runs.find_other_differences(read_runs(clone, "workspace", "HEAD")) == []
    listing = clone.root / "workflow" / "packages" / "train.txt"
    old_listing = listing.read_bytes()
    listing.write_text(re.sub(r"torch==.*", "torch==9.9", listing.read_text()))
    changes = {
        hash_dependency(clone.root, "src/omokage/training", clone.root / "src/omokage/training"): "a" * 32 + ".dir",
        hash_md5(clone.root / "data/manifest.json"): "b" * 32,
        hashlib.md5(old_listing).hexdigest(): hash_md5(listing),
    }
    lock = clone.root / "dvc.lock"
    for old, new in changes.items():
        assert old in lock.read_text()
        lock.write_text(lock.read_text().replace(old, new))
    assert runs.find_other_differences(read_runs(clone, "workspace", "HEAD")) == [
        ("data", ["data/manifest.json"]),
        ("code", ["src/omokage/training"]),
        ("packages", ["torch"]),
    ]


def test_the_page_says_which_scores_do_not_compare_and_which_results_are_mixed(
    copy_clone: Callable[[], Clone],
) -> None:
    clone = copy_clone()
    scores = clone.root / SCORES
    scores.write_text(json.dumps({**json.loads(scores.read_text()), "n": 7, "extractor": "inception"}))
    compared = read_runs(clone, "workspace", "HEAD")
    assert runs.find_score_setting_differences(compared) == ["feature extractor", "number of samples"]
    images = {"curves": plots.plot_curves(compared), "scores": plots.plot_scores(compared)}
    figures = {}
    for name, image in images.items():
        image.save(buffer := io.BytesIO(), "PNG")
        figures[name] = buffer.getvalue()
    text = " ".join(page.render_page(compared, figures, "{}").split())
    assert "computed with different settings: feature extractor and number of samples." in text
    assert "The results of workspace are not all from one run:" in text
    assert "The results of HEAD" not in text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["workspace", "nobody"], "nobody: no such revision"),
        (["workspace", "-x"], "-x: no such revision"),
        (["workspace", "HEAD~2"], "HEAD~2: has no results to compare (results/loss.csv is missing)"),
        (["workspace"], "1 runs: expected 2 to 6"),
        (["a", "b", "c", "d", "e", "f", "g"], "7 runs: expected 2 to 6"),
        (["HEAD", "HEAD"], "HEAD HEAD: expected different runs"),
    ],
)
def test_an_impossible_comparison_is_refused_in_one_line(
    compare: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], message: str
) -> None:
    assert compare("--out", tmp_path / "page.html", "--", *names) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
