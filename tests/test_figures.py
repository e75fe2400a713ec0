"""Figures: drawn from real files, stamped with exactly what made them, the same bytes every time."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import resvg_py
from made_up import NEIGHBOURS, PROGRESS, SCORES, STUDY, UPSTREAM, a_run, digest
from PIL import Image, ImageFilter

from omokage import provenance
from omokage.data import shards, text
from omokage.errors import Refused
from omokage.figures import (
    animation,
    between,
    contact,
    data_card,
    denoising,
    loss,
    neighbours,
    noising,
    progress,
    samples,
    schedule,
    scores,
    study,
    transformed,
)
from omokage.job import Job
from omokage.params.figures import Params
from omokage.report.pictures import Picture
from omokage.stages import figures

LOOKS: dict[str, Any] = {"figure_style": "whitegrid", "figure_palette": "colorblind", "figure_dpi": 120}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Job[Params]:
    job = a_run(tmp_path_factory.mktemp("run"))
    figures.run(job)
    return job


def stamp_of(job: Job[Params], name: str) -> dict[str, Any]:
    return provenance.read(job.output(f"results/figures/{name}"))


def both(plot: str, runs: set[str]) -> dict[str, set[str]]:
    return {f"{plot}.png": runs, f"{plot}.svg": runs}


def test_a_stamp_holds_what_the_figure_rests_on_and_nothing_else(drawn: Job[Params]) -> None:
    data = {"download", "detect", "faces"}
    rests_on: dict[str, set[str]] = {
        **both("loss", {*data, "train"}),
        **both("noise_levels", {*data, "train"}),
        **both("schedule", set()),
        "noising.png": data,
        "denoising.png": {*data, "train", "sample"},
        "denoising.gif": {*data, "train", "sample"},
        "samples.png": {*data, "train", "sample"},
        "neighbours.png": set(UPSTREAM) - {"transform"},
        "transformed.png": {*data, "train", "transform"},
        "between.png": {*data, "train", "transform"},
        "contact.png": data,
        "data_card.png": data,
        **both("scores", set(UPSTREAM) - {"transform"}),
        **both("progress", set(UPSTREAM) - {"transform"}),
        **both("study", set(UPSTREAM) - {"transform"}),
    }
    assert {name: set(stamp_of(drawn, name)["runs"]) for name in figures.FIGURES} == rests_on
    assert stamp_of(drawn, "samples.png")["params"] == {"grid_side": 2}
    assert stamp_of(drawn, "samples.png")["runs"]["train"]["params"]["lr"] == 1e-3
    assert '"lr"' not in json.dumps(stamp_of(drawn, "schedule.png"))
    noising = stamp_of(drawn, "noising.png")
    assert noising["params"] == {"schedule": "cosine", "timesteps": 1000, "zero_snr": False, "log_snr_shift": 0.0}
    assert noising["facts"] == {"mean": [0.5, 0.4, 0.3], "std": 0.3}
    assert noising["deps"] == {"data/faces": digest("data/faces")}


def test_a_stamp_names_no_code_of_other_figures(drawn: Job[Params]) -> None:
    code = stamp_of(drawn, "samples.png")["code"]
    assert set(code) == {f"src/omokage/{name}.py" for name in ("stages/figures", "figures/style", "figures/samples")}


def test_where_the_users_pictures_lie_is_in_no_stamp(drawn: Job[Params]) -> None:
    for name in figures.FIGURES:
        assert "secret" not in json.dumps(stamp_of(drawn, name))
    run = stamp_of(drawn, "samples.png")["runs"]["download"]
    assert run["deps"] == {"folder": digest("remote://checkout/../secret/mine")}


def test_metadata_is_the_stamp_alone(drawn: Job[Params]) -> None:
    for name in figures.FIGURES:
        if name.endswith("svg"):
            continue
        with Image.open(drawn.output(f"results/figures/{name}")) as image:
            told = {"comment", "version", "background", "duration", "extension", "loop", "transparency"}
            assert set(image.info) <= (told if name.endswith("gif") else {provenance.KEY, "transparency"})


def test_two_processes_draw_the_same_bytes(drawn: Job[Params], tmp_path: Path) -> None:
    again = "import sys; from pathlib import Path; import made_up as m; m.figures.run(m.a_run(Path(sys.argv[1])))"
    settings = tmp_path / "matplotlibrc"
    settings.write_text("font.family: serif\nlines.linewidth: 9\nfigure.facecolor: red\n")
    environment = {
        "PYTHONPATH": f"{Path(figures.__file__).parents[2]}:{Path(__file__).parent}",
        "MATPLOTLIBRC": str(settings),
        "HOME": os.environ["HOME"],
        "PYTHONHASHSEED": "7",
    }
    subprocess.run(
        [sys.executable, "-c", again, str(tmp_path / "run")], check=True, env=environment, capture_output=True
    )
    for name in figures.FIGURES:
        path = f"results/figures/{name}"
        assert (tmp_path / "run" / path).read_bytes() == drawn.output(path).read_bytes(), name


def test_the_facts_know_a_figure_without_its_metadata(drawn: Job[Params], tmp_path: Path) -> None:
    made = drawn.facts["figures"]
    assert set(made) == set(figures.FIGURES)
    for name, known in made.items():
        path = drawn.output(f"results/figures/{name}")
        assert known == {"sha256": provenance.sha256(path), "pixels": provenance.pixels(path)}
    with Image.open(drawn.output("results/figures/loss.png")) as image:
        image.convert("RGB").save(tmp_path / "stripped.png")
    assert provenance.pixels(tmp_path / "stripped.png") == made["loss.png"]["pixels"]
    assert len({known["pixels"] for known in made.values()}) == len(made)
    with pytest.raises(Refused, match="no stamp"):
        provenance.read(tmp_path / "stripped.png")


def test_faces_are_shown_pixel_by_pixel(drawn: Job[Params]) -> None:
    face = shards.read(drawn.input("data/faces"), "held_out")[0].permute(1, 2, 0).numpy()
    with Image.open(drawn.output("results/figures/samples.png")) as image:
        sheet = np.asarray(image.convert("RGB"))
    enlarged = face.repeat(8, 0).repeat(8, 1)
    height, width = enlarged.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (height, width, 3)).reshape(-1, height, width, 3)
    assert any(np.array_equal(window, enlarged) for window in windows)


def test_the_gif_ends_on_the_clean_picture_and_holds_it(drawn: Job[Params]) -> None:
    with Image.open(drawn.output("results/figures/denoising.gif")) as image:
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
    assert image.n_frames == 6
    assert durations[-1] > 5 * durations[0]


def test_a_gif_of_larger_pictures_shows_fewer_of_them(tmp_path: Path) -> None:
    moments = {"t": np.arange(12), "x_t": np.random.default_rng(0).integers(0, 256, (12, 8, 3, 48, 48), np.uint8)}
    provenance.save_gif(*animation.draw(moments | {"x0": moments["x_t"]}), tmp_path / "x.gif", {})
    assert 50_000 < (tmp_path / "x.gif").stat().st_size < 300_000


def test_a_file_that_its_record_does_not_describe_is_refused(tmp_path: Path) -> None:
    job = a_run(tmp_path)
    with pytest.raises(Refused, match=r"results/loss\.csv is not what results/runs/train\.json says"):
        figures.run(replace(job, deps={**job.deps, "results/loss.csv": digest("another")}))


@pytest.mark.parametrize("side", [32, 64, 128])
def test_sheets_stay_small_even_of_noise(side: int, tmp_path: Path) -> None:
    def noise(*shape: int) -> Any:
        return np.random.default_rng(0).integers(0, 256, (*shape, 3, side, side), dtype=np.uint8)

    film = {"t": np.arange(11), "x_t": noise(11, 8), "x0": noise(11, 8)}
    card = {
        "pictures": np.random.default_rng(0).integers(0, 256, (40, 3, 96, 96), np.uint8),
        "boxes": np.zeros((0, 6), np.int16),
        "dropped": noise(12),
        "kinds": text.encode(["duplicate"] * 12),
        "sizes": np.full(9, 100, np.int32),
        **{f"{split}_faces": noise(12) for split in ("train", "held_out")},
        **{f"{split}_colours": np.zeros((9, 3), np.uint8) for split in ("train", "held_out")},
    }
    tally = {"train": 9, "held_out": 9, "dropped": {"duplicate": 9}}
    near = pd.DataFrame({key: range(12) for key in pd.read_csv(io.StringIO(NEIGHBOURS)).columns})
    anew = {"faces": noise(6), "varied": noise(6, 4), "there_and_back": noise(6)}
    anew |= {"strengths": np.array([0.4, 0.6, 0.8, 0.95]), "errors": np.arange(6.0)}
    scheme: dict[str, Any] = {"schedule": "cosine", "timesteps": 1000, "zero_snr": False, "log_snr_shift": 0.0}
    sheets = {
        "samples": samples.draw(noise(64), noise(64), grid_side=8),
        "denoising": denoising.draw(film),
        "noising": noising.draw(noise(3), **scheme, mean=[0.5] * 3, std=0.3),
        "contact": contact.draw(card),
        "data_card": data_card.draw(card, {"faces": tally}, **LOOKS),
        "neighbours": neighbours.draw(near, noise(12), noise(12), noise(12)),
        "transformed": transformed.draw(anew),
        "between": between.draw(noise(3, 8)),
    }
    for name, sheet in sheets.items():
        provenance.save_png(sheet, tmp_path / f"{name}.png", {})
    provenance.save_gif(*animation.draw(film), tmp_path / "animation.gif", {})
    files = list(tmp_path.iterdir())
    in_the_report = sum(len(Picture("", "", path).data) for path in files if path.suffix == ".png")
    sizes = {path.stem: path.stat().st_size for path in files}
    # Beside them there are 700 kB of plots, tables and records.
    assert sum(sizes.values()) + in_the_report + 700_000 < 3_000_000, sizes


def test_a_plot_shows_the_same_in_lines_as_in_pixels(drawn: Job[Params]) -> None:
    for name in (name for name in figures.FIGURES if name.endswith("svg")):
        place = drawn.output(f"results/figures/{name}")
        with Image.open(place.with_suffix(".png")) as image:
            pixels = image.convert("L")
        svg = resvg_py.svg_to_bytes(svg_string=place.read_text(), width=pixels.width, dpi=96.0, skip_system_fonts=True)
        lines = Image.open(io.BytesIO(svg)).convert("L").resize(pixels.size)
        one, other = (np.asarray(image.filter(ImageFilter.GaussianBlur(3)), float) for image in (pixels, lines))
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.85, name
        root = ElementTree.fromstring(place.read_text())
        inches = float(root.attrib["width"].removesuffix("pt")) / 72
        assert pixels.width == int(50 * inches)
        assert not list(root.iter("{http://www.w3.org/2000/svg}text")) and 'href="http' not in place.read_text()


def test_an_svg_is_known_without_its_metadata_and_not_with_another_line(drawn: Job[Params], tmp_path: Path) -> None:
    place, known = drawn.output("results/figures/loss.svg"), drawn.facts["figures"]["loss.svg"]
    stripped, edited = tmp_path / "stripped.svg", tmp_path / "edited.svg"
    stripped.write_text(re.sub("<metadata.*</metadata>\n", "", place.read_text()))
    assert provenance.pixels(stripped) == provenance.pixels(place) == known["pixels"]
    assert provenance.read(place)["pixels"] == known["pixels"]
    with pytest.raises(Refused, match="no stamp"):
        provenance.read(stripped)
    edited.write_text(place.read_text().replace("stroke: ", "stroke:", 1))
    assert provenance.read(edited) == provenance.read(place)
    assert provenance.pixels(edited) != known["pixels"]


def test_plots_stay_small_however_much_they_are_given(tmp_path: Path) -> None:
    steps = np.arange(10, 300_000, 10)
    rows = pd.DataFrame({"step": steps, "lr": 1e-3, "loss": np.random.default_rng(0).random(len(steps)) + 0.1})
    rows["held_out"] = rows["loss"].where(rows.index % 1500 == 0)
    many = [(w, s, e, 9.5, 0.1, 100) for w in ("ema", "raw") for s in "abcde" for e in (5, 10, 20, 50, 100)]
    charts = {
        "loss": loss.draw(rows, **LOOKS),
        "schedule": schedule.draw(schedule="linear", timesteps=10_000, zero_snr=True, log_snr_shift=0.0, **LOOKS),
        "scores": scores.draw(SCORES, **LOOKS),
        "study": study.draw(pd.DataFrame(many, columns=STUDY.split("\n")[0].split(",")), **LOOKS),
    }
    # So is a stamp of 25 kB.
    stamp = {"hashes": [digest(str(number)) for number in range(100)], "words": "parameters " * 1700}
    for name, chart in charts.items():
        provenance.save_svg(chart.svg, tmp_path / f"{name}.svg", stamp)
        assert (tmp_path / f"{name}.svg").stat().st_size < 60_000, name


def test_the_nearest_to_a_face_trained_on_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    def ruled(title: str, rows: Any) -> Image.Image:
        shown.append(rows)
        return Image.new("RGB", (9, 9))

    monkeypatch.setattr(neighbours, "ruled", ruled)
    numbered = np.arange(12, dtype=np.uint8).repeat(3 * 8 * 8).reshape(12, 3, 8, 8)
    neighbours.draw(pd.read_csv(io.StringIO(NEIGHBOURS)), numbered, numbered + 100, numbered + 200)
    (sample, train, away, held_out, other_away), *_ = shown
    assert [row.cells[:, 0, 0, 0].tolist() for row in (sample, train, held_out)] == [
        [1, 2, 0],
        [105, 103, 101],
        [200, 208, 202],
    ]
    assert (away.cells, other_away.cells) == (["9.5", "20.5", "30.5"], ["31.0", "7.0", "20.0"])


@pytest.mark.parametrize(("draw", "table"), [(progress.draw, PROGRESS), (study.draw, STUDY)])
def test_what_was_not_asked_for_is_said_in_words(draw: Callable[..., Any], table: str) -> None:
    rows = pd.read_csv(io.StringIO(table))
    nothing = draw(rows.head(0), **LOOKS)
    assert nothing.image.height < 0.4 * draw(rows, **LOOKS).image.height
    assert np.asarray(nothing.image.convert("L")).min() < 80
