"""The report: other numbers get other words, nothing escapes, nothing leaves the page, the same bytes every time."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from test_figures import a_run, digest

from omokage import provenance
from omokage.job import Job
from omokage.params.report import Params
from omokage.report.page import markdown_text, web_address
from omokage.report.verdict import Level, Loss, Run, difficulties, performance, quality, summary
from omokage.stages import figures, report

NAUGHTY = "<script>alert(1)</script> | *A* & [B]"
GOOD = Run(
    losses=[Loss(100 * row, 0.1 + 0.9 / row**2) for row in range(1, 41)],
    levels=[Level(5.0, 0.30, 0.306), Level(0.0, 0.10, 0.101), Level(-5.0, 0.20, 0.203)],
    metrics={
        "score": "Fréchet distance",
        "extractor": "efficientnet-lite0",
        "distance": 4.0,
        "distance_floor": 3.6,
        "kid": 0.001,
        "kid_floor": 0.002,
        "n": 5000,
        "n_reference": 5000,
    },
    faces={
        "pictures": 50_000,
        "kept": 50_000,
        "train": 45_000,
        "held_out": 5000,
        "dropped": {},
        "detected": 0,
        "whole": 50_000,
    },
    batch_size=64,
    prediction="v",
    samples_colour=[0.5, 0.5, 0.5],
    held_out_colour=[0.501, 0.5, 0.499],
)
UNDERTRAINED = replace(
    GOOD,
    losses=[Loss(10 * row, 1.0 - 0.012 * row) for row in range(1, 41)],
    metrics={**GOOD.metrics, "distance": 41.0, "kid": 0.05},
    samples_colour=[0.6, 0.45, 0.5],
)
OVERFITTING = replace(
    GOOD,
    levels=[Level(5.0, 0.30, 0.36), Level(0.0, 0.10, 0.25), Level(-5.0, 0.20, 0.30)],
    faces={**GOOD.faces, "pictures": 900, "kept": 800, "train": 700, "dropped": {"duplicate": 90, "too_small": 10}},
)
TINY = replace(
    GOOD,
    losses=[Loss(2, 1.0)],
    metrics={**GOOD.metrics, "distance": 9.0, "n": 16, "n_reference": 16, "kid_floor": -0.001},
)


def words(run: Run) -> str:
    return " ".join(p for verdict in (performance, quality, difficulties) for p in verdict(run).paragraphs)


def test_a_good_run_is_called_good() -> None:
    assert performance(GOOD).short == "the loss fell steeply"
    assert quality(GOOD).short == "as close as real faces are"
    assert difficulties(GOOD).short == "none that the numbers show"
    assert "1.1 times as far" in words(GOOD)
    assert "256,000 pictures seen" in words(GOOD) and "5.69 passes" in words(GOOD)
    assert "no sign of overfitting" in words(GOOD)
    assert "no more than chance gives real faces" in words(GOOD)


def test_an_undertrained_run_is_told_to_go_on() -> None:
    assert performance(UNDERTRAINED).short == "the loss fell little and was still falling"
    assert quality(UNDERTRAINED).short == "very far from real faces"
    assert difficulties(UNDERTRAINED).short == "colour drift"
    assert "undertrained" in words(UNDERTRAINED) and "more steps would likely help" in words(UNDERTRAINED)
    assert "+25.2 in red" in words(UNDERTRAINED)
    assert "25 times as much" in words(UNDERTRAINED)


def test_an_overfitting_run_is_suspected_of_copies() -> None:
    assert difficulties(OVERFITTING).short == "many pictures dropped, few pictures and strong overfitting"
    assert "52 % higher" in words(OVERFITTING) and "150 %" in words(OVERFITTING)
    assert "copies" in quality(OVERFITTING).paragraphs[-1]
    assert "duplicate (90) and too small (10)" in words(OVERFITTING)


def test_a_tiny_run_gets_no_verdict() -> None:
    assert quality(TINY).short.endswith("on too few samples to tell")
    assert "n = 16" in words(TINY) and "n = 16" in summary(TINY)
    assert "zero within its noise" in words(TINY)
    assert "100 % of the first error is left" in words(TINY)


@pytest.mark.parametrize(("distance", "short"), [(5.0, "close"), (10.0, "recognisable"), (20.0, "far from")])
def test_the_ratio_to_the_floor_decides(distance: float, short: str) -> None:
    assert quality(replace(GOOD, metrics={**GOOD.metrics, "distance": distance})).short.startswith(short)


def test_only_the_scores_own_name_is_used() -> None:
    assert "FID" not in words(GOOD)
    assert "The FID of the samples" in words(
        replace(GOOD, metrics={**GOOD.metrics, "score": "FID", "extractor": "inception"})
    )


def a_report(root: Path) -> Job[Params]:
    """Draw the figures of a small run, and return the job of its report."""
    drawn = a_run(root)
    train = root / "results/runs/train.json"
    (record,) = json.loads(train.read_text())
    record["params"] |= {"batch_size": 4, "prediction": "v"}
    train.write_text(json.dumps([record]))
    figures.run(drawn)
    made = {path: provenance.sha256(place) for path, place in drawn.outputs.items()}
    record = {"stage": "figures", "params": drawn.params.values(), "deps": dict(drawn.deps), "code": {}, "packages": {}}
    (root / "results/runs/figures.json").write_text(
        json.dumps([record | {"outs": made, "threads": 1, "facts": drawn.facts}])
    )
    faces = {"pictures": 20, "kept": 18, "train": 9, "held_out": 9, "dropped": {NAUGHTY: 2}, "detected": 3, "whole": 15}
    (root / "results/faces.json").write_text(json.dumps({"faces": faces}))
    licence = {
        "title": NAUGHTY,
        "author": NAUGHTY,
        "url": "javascript:alert(1)",
        "licence": "CC0",
        "licence_url": "https://a.org/(x)",
    }
    manifest = {"source": "folder", "name": NAUGHTY, "version": "1", "licences": [licence], "count": 20, "pictures": []}
    (root / "data/manifest.json").write_text(json.dumps(manifest))
    inputs = [
        "data/manifest.json",
        "results/faces.json",
        "results/loss.csv",
        "results/noise_levels.csv",
        "results/metrics.json",
    ]
    inputs += [*made, *(f"results/runs/{stage}.json" for stage in report.STAGES)]
    return Job(
        params=Params(report_title=f"Title {NAUGHTY}"),
        inputs={path: root / path for path in inputs},
        outputs={path: root / path for path in ("results/report.html", "results/report.md")},
        work=root / "work",
        threads=1,
        deps={path: made.get(path, digest(path)) for path in inputs},
        code={"src/omokage/stages/report.py": digest("report")},
        packages={"jinja2": "3"},
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Job[Params]:
    job = a_report(tmp_path_factory.mktemp("report"))
    report.run(job)
    return job


class Elements(HTMLParser):
    """Collects the elements of a page, and the address of every one that has any."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]


def test_the_page_is_one_file_and_escapes_everything(written: Job[Params]) -> None:
    html = written.output("results/report.html").read_text()
    page = Elements(html)
    assert page.tags.count("img") == len(report.FIGURES)
    assert page.tags.count("script") == 1
    assert all(address.startswith("data:") or address == "https://a.org/%28x%29" for address in page.addresses)
    assert "url(" not in html and "@import" not in html and "javascript:" not in html
    assert "prefers-color-scheme: dark" in html
    assert "ddim in 20 evaluations of the network a picture, led 1.5 times as far" in " ".join(html.split())


def test_markdown_shows_the_figures_beside_it_and_escapes_everything(written: Job[Params]) -> None:
    path = written.output("results/report.md")
    markdown = path.read_text()
    shown = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", markdown)
    assert len(shown) == len(report.FIGURES) and all((path.parent / picture).is_file() for picture in shown)
    assert "<script" not in markdown and "javascript:" not in markdown
    assert "| train | schedule | cosine |" in markdown and "| lr | 0.001 |" in markdown


def test_both_carry_what_made_them(written: Job[Params]) -> None:
    html, markdown = (provenance.read(place) for place in written.outputs.values())
    assert html == markdown
    assert set(html["runs"]) == set(report.STAGES)
    assert html["runs"]["train"]["params"]["lr"] == 1e-3
    assert html["deps"]["results/figures/loss.png"] == html["runs"]["figures"]["outs"]["results/figures/loss.png"]


def test_kid_is_no_multiple_of_a_floor_next_to_nothing() -> None:
    def said(floor: float) -> str:
        return words(replace(GOOD, metrics={**GOOD.metrics, "kid": 0.02, "kid_floor": floor}))

    assert "10 times as much" in said(0.002)
    assert all("zero within its noise" in said(floor) for floor in (0.0001, -0.0001))


def test_nothing_has_a_sign_where_it_is_nothing() -> None:
    flat = replace(GOOD, levels=[Level(-0.04, 0.1, 0.1), Level(4.0, 0.2, 0.2)])
    assert "+0.0" in words(flat) and "−0.0" not in words(flat)


def test_no_text_can_end_the_stamp() -> None:
    stamp = {"title": "--> </script> <!--"}
    assert json.loads(provenance.text(stamp)) == stamp
    assert "--" not in provenance.text(stamp) and "<" not in provenance.text(stamp)


def test_where_the_users_pictures_lie_is_not_told(written: Job[Params]) -> None:
    assert all("secret" not in place.read_text() for place in written.outputs.values())


def test_two_processes_write_the_same_bytes(written: Job[Params], tmp_path: Path) -> None:
    again = "import sys; from pathlib import Path; import test_report as t; t.report.run(t.a_report(Path(sys.argv[1])))"
    environment = {
        "PYTHONPATH": f"{Path(report.__file__).parents[2]}:{Path(__file__).parent}",
        "HOME": os.environ["HOME"],
        "PYTHONHASHSEED": "7",
    }
    subprocess.run(
        [sys.executable, "-c", again, str(tmp_path / "run")], check=True, env=environment, capture_output=True
    )
    for path, place in written.outputs.items():
        assert (tmp_path / "run" / path).read_bytes() == place.read_bytes()


def test_text_is_no_markup_and_links_lead_to_the_web() -> None:
    assert markdown_text("a_b <i>|*x*\n# y") == r"a\_b &lt;i&gt;\|\*x\* \# y"
    assert web_address("javascript:alert(1)") == "" and web_address(None) == ""
    assert web_address("https://a.org/b c") == "https://a.org/b%20c"
