"""`omokage compare`: runs side by side, and the same numbers through DVC."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Clone
from PIL import Image
from safetensors.numpy import load_file
from test_report import Elements
from test_why import kept

from omokage import cli, provenance
from omokage.comparison import draw, runs
from omokage.history import History
from omokage.lineage import METRICS


@pytest.fixture
def compared(with_experiment: Clone, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(with_experiment.root)
    return lambda *words: cli.main(["compare", *map(str, words)])


def test_a_page_puts_runs_side_by_side(
    with_experiment: Clone, compared: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("workspace", "other", "HEAD")
    assert compared(*names, "--out", tmp_path / "a" / "page.html") == 0
    made = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert made == ["page-curves.png", "page-samples.png", "page-scores.png", "page.html"]
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "a" / name) for name in ("page.html", "page-samples.png", "page-scores.png", "page-curves.png")
    ]
    html = (tmp_path / "a" / "page.html").read_text()
    page = Elements(html)
    assert page.tags.count("img") == 3 and "script" in page.tags
    assert all(address.startswith("data:") for address in page.addresses)
    assert "url(" not in html and "@import" not in html
    text = " ".join(html.split())
    assert '<tr><th scope="row">lr</th><td>0.004</td><td>0.001</td><td>0.004</td></tr>' in text
    measures = [key for key in json.loads(kept(with_experiment, Path(METRICS))) if not key.endswith("_floor")]
    assert text.count('<th scope="row">') == len(measures) + len(["lr"])
    assert "Picture i of every run begins with the same noise" in text

    assert compared(*names, "--out", tmp_path / "b" / "page.html") == 0
    for name in made:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert str(with_experiment.root) not in html and str(tmp_path) not in html
    assert provenance.read(tmp_path / "a" / "page-curves.png")["compare"] == {
        "runs": list(names),
        "lr": [0.004, 0.001, 0.004],
    }
    assert cli.main(["why", str(tmp_path / "a" / "page-scores.png")]) == 0
    assert "again omokage compare workspace other HEAD" in " ".join(capsys.readouterr().out.split())


def test_samples_are_those_that_were_drawn_picture_below_picture(with_experiment: Clone) -> None:
    with History(with_experiment.root) as history:
        found = [runs.read(history, name) for name in ("workspace", "other")]
    here, there = (run.samples for run in found)
    assert here is not None and there is not None
    assert np.array_equal(here, load_file(with_experiment.root / runs.SAMPLES)["samples"])
    assert here.shape == there.shape and not np.array_equal(here, there)
    sheet = draw.samples(found)
    assert sheet is not None
    shown = np.asarray(sheet).astype(int)
    for run in (here, there):
        enlarged = run[1].transpose(1, 2, 0).repeat(6, 0).repeat(6, 1)
        left = 12 + 100
        column = shown[:, left : left + 96]
        assert any(np.array_equal(column[top : top + 96], enlarged) for top in range(len(column) - 96))


def test_dvc_shows_the_same_numbers(with_experiment: Clone, tmp_path: Path) -> None:
    diff = json.loads(with_experiment.dvc("metrics", "diff", "HEAD", "other", "--json").stdout)["results/metrics.json"]
    plots = json.loads(with_experiment.dvc("plots", "diff", "HEAD", "other", "--json", "-o", str(tmp_path)).stdout)
    with History(with_experiment.root) as history:
        before, after = (runs.read(history, name) for name in ("HEAD", "other"))
    for key in ("distance", "kid"):
        assert (diff[key]["old"], diff[key]["new"]) == (before.metrics[key], after.metrics[key])
    for name, run in (("HEAD", before), ("other", after)):
        rows = [row for row in plots["data"][runs.LOSS][0]["content"]["data"]["values"] if row["rev"] == name]
        assert [float(row["loss"]) for row in rows] == run.loss["loss"].tolist()
    sheets = [Path(picture["url"]).read_bytes() for picture in plots["data"][runs.SHEET]]
    assert sheets == [kept(with_experiment, Path(runs.SHEET), name) for name in ("HEAD", "other")]


def test_where_the_cache_lacks_the_samples_the_figure_in_git_is_shown(
    with_experiment: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_experiment.run("git", "clone", "-q", ".", str(tmp_path / "fresh"))
    monkeypatch.chdir(tmp_path / "fresh")
    assert cli.main(["compare", "workspace", "HEAD~1"]) == 0
    html = Path("compare.html").read_text()
    assert html.count("cache has no samples of it; this is the figure that git keeps") == 4
    assert not Path("compare-samples.png").exists()
    with History(Path.cwd()) as history:
        run = runs.read(history, "HEAD~1")
    assert run.sheet is not None
    with Image.open(io.BytesIO(run.sheet)) as image:
        assert image.format == "PNG"


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["workspace", "nobody"], "nobody: no such revision"),
        (["workspace", "-x"], "-x: no such revision"),
        (["workspace", "HEAD~2"], "HEAD~2: has no results to compare (results/loss.csv is missing)"),
        (["workspace"], "1 runs: expected 2 to 6"),
        (["a", "b", "c", "d", "e", "f", "g"], "7 runs: expected 2 to 6"),
        (["HEAD", "HEAD"], "HEAD HEAD: expected different runs"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    compared: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], complaint: str
) -> None:
    assert compared("--out", tmp_path / "page.html", "--", *names) == 1
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())
