"""The report: other numbers get other words, nothing escapes, nothing leaves the page, the same bytes every time."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import ALIKE, GOOD, NAUGHTY, SVG, TINY, UPSTREAM, a_report, scored
from PIL import Image
from ruamel.yaml import YAML
from safetensors.numpy import save_file

from omokage import provenance
from omokage.job import Job
from omokage.params.report import Params
from omokage.report import tables
from omokage.report.chapters import chapters, summary
from omokage.report.film import BUDGET, Film
from omokage.report.page import CAPTIONS, markdown_text, web_address
from omokage.report.pictures import Picture
from omokage.report.run import Level, Loss, Run
from omokage.stages import report

RECORDED = Path(__file__).parent / "recorded"
UNDERTRAINED = replace(
    scored(distance=41.0, kid=0.05, style={**ALIKE, "red": 25.2, "green": -12.7, "sharpness": 0.7}),
    losses=[Loss(10 * row, 1.0 - 0.012 * row) for row in range(1, 41)],
)
OVERFITTING = replace(
    GOOD,
    levels=[Level(5.0, 0.30, 0.36), Level(0.0, 0.10, 0.25), Level(-5.0, 0.20, 0.30)],
    faces={**GOOD.faces, "pictures": 900, "kept": 800, "train": 700, "dropped": {"duplicate": 90, "too_small": 10}},
)


def short(run: Run) -> dict[str, str]:
    return {heading: verdict.short for heading, verdict in chapters(run).items()}


def words(run: Run) -> str:
    said = " ".join(p for verdict in chapters(run).values() for p in verdict.paragraphs)
    return said.replace("\u00a0", " ")


def recorded(name: str) -> Run:
    """Return a run that really was: see recorded/make.py."""

    def place(path: str) -> Path:
        own = RECORDED / name / Path(path).name
        return own if own.exists() else RECORDED / "good" / own.name

    return Run.load(place, batch_size=32, prediction="v")


def test_four_runs_that_were_get_the_words_they_deserve() -> None:
    said = {name: short(recorded(name)) for name in ("good", "undertrained", "collapsed", "copying")}
    assert said["good"] == {
        "Quality": "close to real faces, nearly as varied",
        "Style": "slight colour drift, slightly flat and slightly soft",
        "Copies": "none beyond chance",
        "Performance": "the loss fell steeply and was still falling",
        "Difficulties": "none that the numbers show",
    }
    assert said["undertrained"] == {
        "Quality": "very far from real faces, and few look real",
        "Style": "colour drift, slightly flat, pale and soft",
        "Copies": "none beyond chance",
        "Performance": "the loss fell by more than half",
        "Difficulties": "colour drift and too little training",
    }
    # Eight samples over and over: what one of them has in common with a training face, an eighth of all has.
    assert said["collapsed"] == said["good"] | {
        "Quality": "far from real faces, and collapsed to a few pictures",
        "Style": "colour drift, slightly harsh and soft",
        "Copies": "some near copies",
        "Difficulties": "collapse and colour drift",
    }
    assert said["copying"] == said["good"] | {
        "Quality": "as close as real faces are, as varied, but copies",
        "Style": "that of the data set",
        "Copies": "many copies of training faces",
        "Difficulties": "copying",
    }


def test_a_good_run_is_called_good() -> None:
    assert short(GOOD) == {
        "Quality": "as close as real faces are, as varied",
        "Style": "that of the data set",
        "Copies": "none beyond chance",
        "Performance": "the loss fell steeply",
        "Difficulties": "none that the numbers show",
    }
    assert "is 4 (95 % interval 3.8 to 4.2)" in words(GOOD) and "1.1 times as far" in words(GOOD)
    assert "256,000 pictures seen" in words(GOOD) and "5.69 passes" in words(GOOD)
    assert "no sign of overfitting" in words(GOOD)
    assert "no more than chance gives real faces" in words(GOOD)


def test_an_undertrained_run_is_told_to_go_on() -> None:
    said = short(UNDERTRAINED)
    assert said["Performance"] == "the loss fell little and was still falling"
    assert said["Quality"].startswith("very far from real faces")
    assert said["Style"] == "colour drift and soft"
    assert said["Difficulties"] == "colour drift and too little training"
    assert "undertrained" in words(UNDERTRAINED) and "more steps would likely help" in words(UNDERTRAINED)
    assert "+25.2 in red" in words(UNDERTRAINED)
    assert "25 times as much" in words(UNDERTRAINED)


def test_an_overfitting_run_is_suspected_of_copies() -> None:
    assert short(OVERFITTING)["Difficulties"] == "many pictures dropped, few pictures and strong overfitting"
    assert "52 % higher" in words(OVERFITTING) and "150 %" in words(OVERFITTING)
    assert "compare the samples with the faces it was trained on" in words(OVERFITTING)
    rows = [[cell.text for cell in row] for row in tables.dropped(OVERFITTING).rows]
    assert rows == [["duplicate", "90", "10\u00a0%"], ["too small", "10", "1.1\u00a0%"]]


@pytest.mark.parametrize(
    ("share", "n", "said"),
    [
        (0.02, 500, "none"),
        (0.05, 500, "some"),
        (0.05, 40, "none"),
        (0.3, 500, "many"),
        (0.0102, 50_000, "none"),
        (0.02, 50_000, "some"),
    ],
)
def test_copies_are_more_than_chance_gives_so_many_samples(share: float, n: int, said: str) -> None:
    assert short(scored(copied=share, n=n))["Copies"].startswith(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recall": 0.7}, "nearly as varied"),
        ({"recall": 0.5}, "less varied"),
        ({"recall": 0.1}, "much less varied"),
        ({"recall": 0.1, "coverage": 0.1}, "and collapsed to a few pictures"),
        ({"recall": 0.1, "coverage": 0.1, "precision": 0.2}, "and few look real"),
    ],
)
def test_variety_is_judged_apart(changes: dict[str, Any], said: str) -> None:
    assert short(scored(**changes))["Quality"] == f"as close as real faces are, {said}"


def test_the_score_over_the_training_is_told_where_it_was_asked_for() -> None:
    def over(*distances: float) -> Run:
        rows = [
            {"step": str(1000 * i), "pictures": "9", "distance": str(d), "kid": "0.1", "n": "64"}
            for i, d in enumerate(distances, 1)
        ]
        return replace(GOOD, progress=rows)

    assert "from 90 at step 1,000 to 40 at step 3,000, and had not been lower" in words(over(90, 50, 40))
    assert "to 60 at step 3,000, after 50 at step 2,000, the lowest" in words(over(90, 50, 60))
    assert "Over the training" not in words(GOOD)


def test_a_tiny_run_gets_no_verdict() -> None:
    assert short(TINY)["Quality"].endswith("on too few samples to tell")
    assert "n = 16" in words(TINY) and "n = 16" in summary(TINY)
    assert "zero within its noise" in words(TINY)
    assert "100 % of the first error is left" in words(TINY)


@pytest.mark.parametrize(("distance", "said"), [(5.0, "close"), (10.0, "recognisable"), (20.0, "far from")])
def test_the_ratio_to_the_floor_decides(distance: float, said: str) -> None:
    assert short(scored(distance=distance))["Quality"].startswith(said)


def test_only_the_scores_own_name_is_used() -> None:
    assert "FID" not in words(GOOD)
    assert "The FID of the samples" in words(scored(score="FID", extractor="inception"))


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
    # The film takes the place of the GIF and the film strip, the dialog has a picture too; no study was asked for.
    assert page.tags.count("img") == len(CAPTIONS) - 3 + 2
    assert page.tags.count("script") == 2
    own = {f"#{heading.lower()}" for heading in chapters(TINY)}
    assert {address for address in page.addresses if not address.startswith("data:")} == {
        "https://a.org/%28x%29",
        *own,
    }
    assert "default-src 'none'; img-src data:" in html
    assert "url(" not in html and "@import" not in html and "javascript:" not in html
    assert "prefers-color-scheme: dark" in html
    assert "ddim in 20 evaluations of the network a picture, led 1.5 times as far" in " ".join(html.split())


def test_markdown_shows_the_figures_beside_it_and_escapes_everything(written: Job[Params]) -> None:
    path = written.output("results/report.md")
    markdown = path.read_text()
    shown = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", markdown)
    assert len(shown) == len(CAPTIONS) - 1 and all((path.parent / picture).is_file() for picture in shown)
    assert "<script" not in markdown and "javascript:" not in markdown
    assert "| train | schedule | cosine | noise schedule |" in markdown and "| lr | 0.001 |" in markdown
    assert "| precision | 0.85 |  | 0.9 |" in markdown


def test_every_table_is_one_in_markdown(written: Job[Params]) -> None:
    blocks = written.output("results/report.md").read_text().split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("| ")]
    assert len(tables) == 6
    for head, rule, *rows in tables:
        assert set(rule) == {"|", "-"}
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, *rows)} == {head.count("|")}


def test_the_parameters_of_the_run_can_be_taken_from_the_page(written: Job[Params]) -> None:
    class Code(HTMLParser):
        text = ""

        def handle_data(self, data: str) -> None:
            self.text = data if data.startswith("source: ") else self.text

    page = Code()
    page.feed(written.output("results/report.html").read_text())
    read = YAML(typ="safe", pure=True).load(io.StringIO(page.text))
    assert read["lr"] == 1e-3 and read["sampler"] == "ddim" and read["report_title"] == f"Title {NAUGHTY}"
    assert "folder" not in read


def test_both_carry_what_made_them(written: Job[Params]) -> None:
    html, markdown = (provenance.read(place) for place in written.outputs.values())
    assert html == markdown
    assert set(html["runs"]) == {*UPSTREAM, "figures"}
    assert html["runs"]["train"]["params"]["lr"] == 1e-3
    assert html["deps"]["results/figures/loss.png"] == html["runs"]["figures"]["outs"]["results/figures/loss.png"]


@pytest.mark.parametrize(("side", "faces"), [(16, 8), (32, 8), (64, 4), (128, 1)])
def test_a_film_of_larger_pictures_shows_fewer_of_them(side: int, faces: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (11, 8, 3, side, side), np.uint8)
    save_file({"t": np.arange(11)[::-1].copy(), "x_t": noise, "x0": np.full_like(noise, 99)}, tmp_path / "film")
    film = Film.load(tmp_path / "film")
    assert film.faces == faces and film.steps[0] == 10 and film.steps[-1] == 0
    assert len(film.data) < 1.4 * BUDGET


def test_a_film_has_every_moment_of_a_face_in_its_place(tmp_path: Path) -> None:
    noise = np.zeros((3, 2, 3, 16, 16), np.uint8)
    for moment, face in np.ndindex(3, 2):
        noise[moment, face] = 20 * moment + 100 * face
    save_file({"t": np.array([9, 4, 0]), "x_t": noise, "x0": noise + 10}, tmp_path / "film")
    film = Film.load(tmp_path / "film")
    with Image.open(io.BytesIO(decoded(film.data))) as image:
        middles = np.asarray(image.convert("L"))[8::16, 8::16].astype(int)
    expected = [[0, 20, 40], [10, 30, 50], [100, 120, 140], [110, 130, 150]]
    assert np.abs(middles - expected).max() <= 2
    assert (film.steps, film.faces, film.side) == ([9, 4, 0], 2, 16)


def decoded(address: str) -> bytes:
    return base64.b64decode(address.partition("base64,")[2])


def test_a_plot_is_lines_unless_they_weigh_much_more(tmp_path: Path) -> None:
    pixels, lines = tmp_path / "x.png", tmp_path / "x.svg"
    Image.effect_noise((40, 40), 90).save(pixels)
    lines.write_text(SVG.replace("<path", f"<metadata>{'a stamp ' * 9000}</metadata>\n<path"))
    assert decoded(Picture("x", "x", pixels, lines).data) == SVG.encode()
    lines.write_text(SVG + " " * 40_000)
    assert Picture("x", "x", pixels, lines).data.startswith("data:image/webp")


def test_kid_is_no_multiple_of_a_floor_next_to_nothing() -> None:
    def said(floor: float) -> str:
        return words(scored(kid=0.02, kid_floor=floor))

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
