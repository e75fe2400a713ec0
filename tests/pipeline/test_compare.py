"""`omokage compare`: runs on one page, with the same numbers as DVC shows."""

import base64
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
from omokage.comparison import page, runs
from omokage.comparison.samples import FIGURE
from omokage.pipeline.dvc_lock import hash_dependency, hash_md5
from omokage.provenance.history import History
from omokage.provenance.lineage import SAMPLES, SCORES
from omokage.report.wording import format_number
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
    out = tmp_path / "a" / "page.html"
    assert compare(*names, "--out", out) == 0
    assert [*out.parent.iterdir()] == [out] and capsys.readouterr().out == f"{out}\n"
    html = out.read_text()
    elements = Elements(html)
    # Ten samples of each of three runs.
    assert elements.tags.count("img") == 30 and "script" in elements.tags
    assert all(address.startswith("data:") for address in elements.addresses)
    assert "url(" not in html and "@import" not in html
    text = " ".join(html.split())
    assert '<tr><th scope="row"><code>lr</code></th><td>0.004</td><td>0.001</td><td>0.004</td></tr>' in text
    content = json.loads(read_from_revision(clone_with_experiment, Path(SCORES)))
    for label, key in (("Fréchet distance", "distance"), ("KID", "kid"), ("Coverage", "coverage")):
        chart = text.partition(f"<caption>{label} ")[2].partition("</table>")[0]
        assert f"<strong>{format_number(content[key])}</strong>" in chart and chart.count("floor ") == 3
    # The workspace and HEAD are the same run.
    assert "which are equal" in text or "Best: \u2068other\u2069" in text
    assert "Sample i starts from the same noise in every run" in text
    assert "different settings" not in text and "not all from one run" not in text

    assert compare(*names, "--out", tmp_path / "b" / "page.html") == 0
    assert (tmp_path / "b" / "page.html").read_bytes() == out.read_bytes()
    assert str(clone_with_experiment.root) not in html and str(tmp_path) not in html
    assert read_stamp(out)["compare"] == {"runs": list(names), "lr": [0.004, 0.001, 0.004]}
    assert main(["why", str(out)]) == 0
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
    rows = re.findall(r'<tr><th scope="row">(\d+)</th>(.*?)</tr>', page.render_page(compared, "{}"))
    assert [int(number) for number, _ in rows] == list(range(len(first)))
    for number, cells in rows:
        urls = re.findall('base64,([^"]+)" alt="Sample (.+?)"', cells)
        assert [alt for _, alt in urls] == [f"{number} of workspace", f"{number} of other"]
        for (data, _), samples in zip(urls, (first, second), strict=True):
            with Image.open(io.BytesIO(base64.b64decode(data))) as image:
                assert np.array_equal(np.asarray(image.convert("RGB")), samples[int(number)].transpose(1, 2, 0))


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
    figures = [Path(figure["url"]).read_bytes() for figure in tables[FIGURE]]
    assert figures == [read_from_revision(clone, Path(FIGURE), name) for name in ("HEAD", "other")]


def test_the_figure_in_git_replaces_samples_that_are_not_in_the_cache(
    clone_with_experiment: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone_with_experiment.run("git", "clone", "-q", ".", str(tmp_path / "fresh"))
    monkeypatch.chdir(tmp_path / "fresh")
    assert main(["compare", "workspace", "HEAD~1"]) == 0
    html = Path("compare.html").read_text()
    assert html.count("cache has no samples of this run. These are cut out of its figure in git") == 2
    assert "dvc pull" in html
    (original,) = read_runs(clone_with_experiment, "workspace")
    with History(Path.cwd()) as history:
        run = runs.read_run(history, "HEAD~1")
    assert run.samples is not None and original.samples is not None
    # The figure has a grid of 2 x 2 samples, in rounded colours.
    difference = np.abs(run.samples.astype(int) - original.samples[:4])
    assert difference.mean() < 8 < np.abs(original.samples[:4].astype(int) - original.samples[3::-1]).mean()


def test_a_run_under_old_names_has_no_other_parameters_code_or_packages(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    commit_old_names(clone, "results/figures/scores.png")
    clone.run("git", "checkout", "-q", "HEAD~1", "--", "results", "dvc.lock")
    compared = read_runs(clone, "workspace", "HEAD")
    assert runs.tabulate_params(compared)[0] == [] and runs.find_other_differences(compared) == {}
    assert "extractor_weights" in compared[1].runs and "weights" not in compared[1].runs


def test_different_code_data_and_packages_are_listed(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    assert runs.find_other_differences(read_runs(clone, "workspace", "HEAD")) == {}
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
    compared = read_runs(clone, "workspace", "HEAD")
    differences = runs.find_other_differences(compared)
    assert {kind: [name for name, _ in items] for kind, items in differences.items()} == {
        "data": ["data/manifest.json"],
        "code": ["src/omokage/training"],
        "packages": ["torch"],
    }
    (_, versions) = differences["packages"][0]
    assert versions[0] == "9.9" != versions[1]
    html = page.render_page(compared, "{}")
    assert all(heading in html for heading in ("1 package differs", "1 folder of code differs", "1 data file differs"))


def test_the_page_says_which_scores_do_not_compare_and_which_results_are_mixed(
    copy_clone: Callable[[], Clone],
) -> None:
    clone = copy_clone()
    scores = clone.root / SCORES
    scores.write_text(json.dumps({**json.loads(scores.read_text()), "n": 7, "extractor": "inception"}))
    compared = read_runs(clone, "workspace", "HEAD")
    assert runs.find_score_setting_differences(compared) == ["feature extractor", "number of samples"]
    text = " ".join(page.render_page(compared, "{}").split())
    assert "computed with different settings: feature extractor and number of samples." in text
    assert "The results of <bdi>workspace</bdi> are not all from one run:" in text
    assert text.count("not all from one run") == 1 and '<span class="mark">' not in text


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
