"""The plots of single figures: their content, and the limits of their file sizes."""

import io
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support.fixtures import METRICS, NEIGHBOURS_CSV, PROGRESS_CSV, STUDY_CSV, hash_text
from support.report_fixtures import GOOD_RUN

from omokage.data import text_arrays
from omokage.evaluation.scores.style import COLOURS, compare_style, compute_histograms, measure_style
from omokage.figures import (
    animation,
    between,
    contact,
    data_card,
    denoising,
    hyperparameters,
    loss,
    neighbours,
    noise_levels,
    noising,
    progress,
    samplers,
    samples,
    schedule,
    scores,
    sheet,
    study,
    style_fidelity,
    transformed,
)
from omokage.figures.sheet import describe_size, enlarge_image
from omokage.figures.style import Chart
from omokage.report.embedded_figure import EmbeddedFigure
from omokage.report.run import NoiseLevel
from omokage.report.training_loss import compute_mean_error
from omokage.report.wording import format_number
from omokage.stamps.stamp import save_gif, save_png, save_svg

STYLE: dict[str, Any] = {"figure_style": "whitegrid", "figure_palette": "colorblind", "figure_dpi": 120}

RUN: dict[str, Any] = {"ema_kind": "ema", "sampler": "ddim", "sample_steps": 20}
COUNTERPART = {"weights": "ema", "sampler": "ddpm", "evaluations": 20}


def make_noise(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def make_frames(count: int, side: int) -> dict[str, Any]:
    """Return noise in the form of the frames of a denoising (see sampling/frames.py)."""
    images = {key: make_noise(count, 8, 3, side, side) for key in ("x_t", "x0")}
    return {"t": np.arange(count), "log_snr": np.linspace(-6, 6, count), **images}


def plot_noise(side: int) -> dict[str, Image.Image]:
    """Return every sheet, plotted from noise images of this side length, which cannot be compressed."""
    card = {
        "pictures": make_noise(40, 3, 96, 96),
        "boxes": np.zeros((0, 6), np.int16),
        "dropped": make_noise(12, 3, 96, 96),
        "kinds": text_arrays.encode(["duplicate"] * 12),
        "sizes": np.full(9, 100, np.int32),
        **{f"{split}_faces": make_noise(12, 3, side, side) for split in ("train", "held_out")},
        **{f"{split}_colours": np.zeros((9, 3), np.uint8) for split in ("train", "held_out")},
    }
    counts = {"train": 9, "held_out": 9, "dropped": {"duplicate": 9}}
    nearest = pd.DataFrame({key: range(12) for key in pd.read_csv(io.StringIO(NEIGHBOURS_CSV)).columns})
    nearest["kind"] = ["exact", "near", "shifted", "mirrored", "relative", "features"] * 2
    images = make_noise(12, 3, side, side)
    edits = {
        "faces": make_noise(6, 3, side, side),
        "varied": make_noise(6, 4, 3, side, side),
        "there_and_back": make_noise(6, 3, side, side),
        "strengths": np.array([0.4, 0.6, 0.8, 0.95]),
        "errors": np.arange(6.0),
    }
    noise_schedule: dict[str, Any] = {"schedule": "cosine", "timesteps": 1000, "zero_snr": False, "log_snr_shift": 0.0}
    many_images = make_noise(64, 3, side, side)
    return {
        "samples": samples.plot(many_images, many_images, grid_side=8),
        "denoising": denoising.plot(make_frames(11, side)),
        "noising": noising.plot(make_noise(3, 3, side, side), **noise_schedule, mean=[0.5] * 3, std=0.3),
        "contact": contact.plot(card),
        "data_card": data_card.plot(card, counts, **STYLE),
        "neighbours": neighbours.plot(nearest, METRICS, images, images, images),
        "samplers": samplers.plot(images, images[None], [COUNTERPART], images[:0, None], [], **RUN),
        "transformed": transformed.plot(edits),
        "between": between.plot(make_noise(3, 8, 3, side, side)),
    }


@pytest.mark.parametrize("side", [32, 64, 128])
def test_sheets_of_noise_stay_within_the_size_limit_of_a_run(side: int, tmp_path: Path) -> None:
    for name, image in plot_noise(side).items():
        save_png(image, tmp_path / f"{name}.png", {})
    save_gif(*animation.plot(make_frames(11, side)), tmp_path / "animation.gif", {})
    files = list(tmp_path.iterdir())
    embedded = sum(len(EmbeddedFigure("", "", path).data_uri) for path in files if path.suffix == ".png")
    sizes = {path.stem: path.stat().st_size for path in files}
    # The charts, tables and records of a run take another 700 kB.
    assert sum(sizes.values()) + embedded + 700_000 < 3_000_000, sizes


def test_a_sheet_of_noise_shows_several_faces_and_says_if_some_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    footers: list[str] = []
    monkeypatch.setattr(sheet, "describe_size", lambda images: str(images.shape[0]))
    monkeypatch.setattr(sheet, "write_label", lambda *arguments, **_: footers.append(arguments[2]))
    for side, shown in ((32, 6), (64, 2)):
        footers.clear()
        edits = {key: make_noise(6, 3, side, side) for key in ("faces", "there_and_back")}
        edits |= {"varied": make_noise(6, 4, 3, side, side), "strengths": np.array([0.4, 0.6, 0.8, 0.95])}
        transformed.plot(edits | {"errors": np.arange(6) + 0.5})
        drawn = [text for text in footers if text.isdigit() or "faces" in text]
        assert drawn[-1] == (f"{shown} of 6 faces, {shown}" if shown < 6 else "6")


@pytest.mark.parametrize(("rows", "is_smoothed"), [(3, False), (19, False), (20, True), (200, True)])
def test_the_loss_of_a_short_table_is_not_smoothed(rows: int, is_smoothed: bool) -> None:
    table = pd.DataFrame({"step": np.arange(1, rows + 1), "lr": 1e-3, "loss": np.linspace(0.9, 0.7, rows)})
    table["train"] = table["held_out"] = table["loss"]
    texts = read_texts(loss.plot(table, **STYLE))
    assert any("mean of" in text for text in texts) == is_smoothed
    steps = {text for text in texts if re.fullmatch(r"[\d.]+k?", text)} - {"0.7", "0.8", "0.9", "0.75", "0.85"}
    assert all(re.fullmatch(r"\d+|0\.00\d+", text) for text in steps), steps
    assert {"0.7", "0.8"} <= texts


def test_no_marker_of_a_score_is_cut_off() -> None:
    table = pd.DataFrame({"step": [10, 20], "distance": [300.0, 340.0], "kid": [-0.1, 0.0], "n": [8, 8]})
    svg = progress.plot(table, table, METRICS, **STYLE).svg
    boxes = [
        [float(value) for value in re.findall(r'(?:y|height)="([\d.]+)"', box)]
        for box in re.findall("<rect[^>]*>", svg)
    ]
    markers = [float(y) for y in re.findall(r'<use xlink:href="#m[^>]* y="([\d.]+)"', svg)]
    assert len(boxes) == 2 and len(markers) == 4
    for (top, height), pair in zip(sorted(boxes), (markers[:2], markers[2:]), strict=True):
        assert all(top <= y <= top + height + 0.1 for y in pair)
    assert min(markers[:2]) - min(boxes)[0] > 4  # points


def test_an_animation_of_large_images_shows_fewer_of_them(tmp_path: Path) -> None:
    save_gif(*animation.plot(make_frames(12, 48)), tmp_path / "x.gif", {})
    assert 50_000 < (tmp_path / "x.gif").stat().st_size < 300_000


def test_charts_of_long_tables_stay_small(tmp_path: Path) -> None:
    steps = np.arange(10, 300_000, 10)
    rows = pd.DataFrame({"step": steps, "lr": 1e-3, "loss": np.random.default_rng(0).random(len(steps)) + 0.1})
    rows["train"] = rows["held_out"] = rows["loss"].where(rows.index % 1500 == 0)
    entries = [(w, s, e, 9.5, 0.1, 100) for w in ("ema", "raw") for s in "abcde" for e in (5, 10, 20, 50, 100)]
    charts = {
        "loss": loss.plot(rows, **STYLE),
        "schedule": schedule.plot(schedule="linear", timesteps=10_000, zero_snr=True, log_snr_shift=0.0, **STYLE),
        "scores": scores.plot(METRICS, **STYLE),
        "study": study.plot(
            pd.DataFrame(entries, columns=STUDY_CSV.split("\n")[0].split(",")), METRICS, **RUN, **STYLE
        ),
    }
    # A stamp of 25 kB is packed.
    stamp = {"hashes": [hash_text(str(number)) for number in range(100)], "words": "parameters " * 1700}
    for name, chart in charts.items():
        save_svg(chart.svg, tmp_path / f"{name}.svg", stamp)
        assert (tmp_path / f"{name}.svg").stat().st_size < 60_000, name


def test_samples_closest_to_a_training_face_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[Any] = []

    def compose_rows(title: str, rows: Any) -> Image.Image:
        composed.append(rows)
        return Image.new("RGB", (9, 9))

    monkeypatch.setattr(neighbours, "compose_rows", compose_rows)
    numbered = np.arange(12, dtype=np.uint8).repeat(3 * 8 * 8).reshape(12, 3, 8, 8)
    neighbours.plot(pd.read_csv(io.StringIO(NEIGHBOURS_CSV)), METRICS, numbered, numbered + 100, numbered + 200)
    (sample, train, train_distance, held_out, held_out_distance), *_ = composed
    assert [row.cells[:, 0, 0, 0].tolist() for row in (sample, train, held_out)] == [
        [1, 2, 0],
        [105, 103, 101],
        [200, 208, 202],
    ]
    assert (train_distance.cells, held_out_distance.cells) == (["9.5", "20.5", "30.5"], ["31.0", "7.0", "20.0"])


def test_a_row_for_each_sampler_has_the_same_seeds_in_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[Any] = []

    def compose_rows(title: str, rows: Any, note: str) -> Image.Image:
        composed.append((rows, note))
        return Image.new("RGB", (9, 9))

    monkeypatch.setattr(samplers, "compose_rows", compose_rows)
    numbered = np.arange(12, dtype=np.uint8).repeat(3 * 8 * 8).reshape(12, 3, 8, 8)
    raw = {"weights": "raw", "sampler": "heun", "evaluations": 20}
    # The counterpart is in the study as well, and then shown once.
    study_sets = np.stack([numbered + 50, numbered + 100])
    samplers.plot(numbered, numbered[None, :7] + 50, [COUNTERPART], study_sets, [COUNTERPART, raw], **RUN)
    rows, note = composed[0]
    assert [row.name for row in rows] == ["ddim\n20 NFE", "ddpm\n20 NFE", "heun\n20 NFE\nraw weights"] and not note
    seeds = [[*range(first, first + 7)] for first in (0, 50, 100)]
    assert [row.cells[:, 0, 0, 0].tolist() for row in rows] == seeds


def test_the_figure_of_style_shows_the_values_whose_means_the_report_compares() -> None:
    images = {name: torch.from_numpy(make_noise(40, 3, 16, 16) // divisor) for name, divisor in (("a", 1), ("b", 2))}
    measures = {name: measure_style(array) for name, array in images.items()}
    scores = compare_style(images["a"], images["b"])
    for name, values in measures["a"].items():
        mean, real_mean = values.mean(), measures["b"][name].mean()
        assert len(values) == 40
        assert scores[name] == pytest.approx(mean - real_mean if name in COLOURS else mean / max(real_mean, 1))
    histograms = compute_histograms({"samples": images["a"], "held_out": images["b"], "train": images["b"]})
    for name, histogram in histograms.items():
        *shares, mean = histogram["samples"]
        assert mean == pytest.approx(measures["a"][name].mean()) and sum(shares) == pytest.approx(1)
        assert len(histogram["edges"]) == len(shares) + 1 and histogram["train"] == histogram["held_out"]
        middles = (np.array(histogram["edges"][1:]) + np.array(histogram["edges"][:-1])) / 2
        assert float(middles @ np.array(shares)) == pytest.approx(mean, abs=np.diff(middles)[0])
    chart = style_fidelity.plot({"style_histograms": histograms}, **STYLE)
    assert {"mean red", "contrast", "sharpness", "samples", "held-out faces", "training faces"} <= read_texts(chart)


def read_texts(chart: Chart) -> set[str]:
    """Return the texts of a chart, which matplotlib writes as comments into the SVG."""
    return {text.strip() for text in re.findall("<!--(.*?)-->", chart.svg)}


@pytest.mark.parametrize("rows", [0, 2])
def test_progress_and_study_show_the_score_of_the_run_and_the_floor_if_nothing_else_was_asked_for(rows: int) -> None:
    losses = pd.DataFrame({"step": [10, 40]})
    charts = {
        "progress": progress.plot(pd.read_csv(io.StringIO(PROGRESS_CSV)).head(rows), losses, METRICS, **STYLE),
        "study": study.plot(pd.read_csv(io.StringIO(STUDY_CSV)).head(rows), METRICS, **RUN, **STYLE),
    }
    own = {"this run, 95\u00a0% interval", "real faces (floor)"}
    for name, chart in charts.items():
        is_shown = own <= read_texts(chart)
        assert is_shown == (rows == 0 or name == "study"), read_texts(chart)
    assert ("40" in read_texts(charts["progress"])) and ("20" in read_texts(charts["study"]))


def test_the_schedule_says_where_image_and_noise_are_equal() -> None:
    params: dict[str, Any] = {"schedule": "cosine", "timesteps": 1000, "zero_snr": False}
    # The log-SNR of the cosine schedule is nearly 2 ln(cot(pi/2 t/T)): 0 at T/2, and -2 ln 2 at 0.705 T.
    for shift, half in ((0.0, 496), (2 * math.log(2), 702)):
        texts = read_texts(schedule.plot(**params, log_snr_shift=shift, **STYLE))
        assert f"log-SNR 0 at t = {half}" in texts


def test_the_study_of_hyperparameters_has_a_panel_for_each_prediction() -> None:
    rows = [(schedule, prediction, lr) for schedule in "ab" for prediction in ("eps", "v") for lr in (0.001, 0.004)]
    table = pd.DataFrame(rows, columns=["schedule", "prediction", "lr"]).assign(distance=50.0, distance_floor=20.0)
    texts = read_texts(hyperparameters.plot(table, **STYLE))
    assert {"prediction eps", "prediction v", "a", "b", "0.001", "0.004", "real faces (floor)"} <= texts


def test_the_error_by_noise_level_names_the_means_that_the_report_names(tmp_path: Path) -> None:
    table = pd.DataFrame({"t": [1, 2], "log_snr": [1.0, -1.0], "train": [0.1, 0.3], "held_out": [0.2, 0.5]})
    texts = read_texts(noise_levels.plot(table, **STYLE))
    run = replace(GOOD_RUN, levels=[NoiseLevel(1.0, 0.1, 0.2), NoiseLevel(-1.0, 0.3, 0.5)])
    for split, name in (("train", "training faces"), ("held_out", "held-out faces")):
        assert f"{name}, mean {format_number(compute_mean_error(run, split))}" in texts


def test_the_denoising_starts_with_noise_and_ends_with_the_clean_image(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[Any] = []

    def compose_rows(title: str, rows: Any) -> Image.Image:
        composed.append(rows)
        return Image.new("RGB", (9, 9))

    monkeypatch.setattr(denoising, "compose_rows", compose_rows)
    frames = make_frames(4, 8) | {"t": np.array([999, 700, 50, -1]), "log_snr": np.array([-np.inf, 0, 6, np.inf])}
    denoising.plot(frames)
    timesteps, ratios, noisy, *_ = composed[0]
    assert timesteps.cells == ["999", "700", "50", "clean"]
    assert ratios.cells == ["−∞", "+0.0", "+6.0", "+∞"]
    assert np.array_equal(noisy.cells, frames["x_t"][:, 0])


def test_columns_of_the_denoising_leave_small_gaps_in_log_snr() -> None:
    levels = [-19.1, -6.0, -5.1, -4.1, -1.8, -0.7, 0.5, 2.1, 3.1, 3.9, np.inf]
    assert denoising.choose_frames(levels, 7) == [0, 3, 4, 5, 6, 7, 10]
    assert denoising.choose_frames(levels, 99) == [*range(11)] and denoising.choose_frames(levels, 2) == [0, 10]
    assert denoising.choose_frames([-np.inf, np.inf], 3) == [0, 1]


def test_a_contact_sheet_explains_only_frames_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(contact, "write_label", lambda _sheet, _at, text, *_: written.append(text))
    card = {"pictures": make_noise(2, 3, 9, 9), "boxes": np.array([[0, 1, 1, 5, 5, 1]], np.int16)}
    contact.plot(card)
    assert {*written} == {"kept"}
    card["boxes"] = np.array([[0, 1, 1, 5, 5, 1], [1, 1, 1, 5, 5, 0]], np.int16)
    contact.plot(card)
    assert {*written} == {"kept", "dropped"}


def test_a_face_rate_that_says_little_is_left_out_of_the_chart() -> None:
    low, high = (scores.plot({**METRICS, "face_rate_floor": rate}, **STYLE) for rate in (0.19, 0.2))
    assert "face rate" not in " ".join(read_texts(low)) and "face rate" in read_texts(high)


@pytest.mark.parametrize(("side", "width"), [(16, 96), (32, 96), (48, 96), (64, 128), (96, 96), (128, 128)])
def test_faces_are_enlarged_by_an_integer_factor_to_at_least_96_pixels(side: int, width: int) -> None:
    face = make_noise(3, side, side)
    enlarged = np.asarray(enlarge_image(face))
    factor = width // side
    assert np.array_equal(enlarged, face.transpose(1, 2, 0).repeat(factor, 0).repeat(factor, 1))
    expected = "not enlarged" if factor == 1 else f"enlarged {factor} times (nearest neighbour)"
    assert describe_size(face) == f"{side} × {side} pixels, {expected}"


def test_every_suspected_copy_is_shown_by_kind_with_its_nearest_face(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[Any] = []

    def compose_rows(title: str, rows: Any) -> Image.Image:
        composed.append((title, rows))
        return Image.new("RGB", (9, 9))

    monkeypatch.setattr(neighbours, "compose_rows", compose_rows)
    numbered = np.arange(12, dtype=np.uint8).repeat(3 * 8 * 8).reshape(12, 3, 8, 8)
    table = pd.read_csv(io.StringIO(NEIGHBOURS_CSV))
    table["kind"] = ["mirrored", "features", "mirrored"]
    neighbours.plot(table, METRICS, numbered, numbered + 100, numbered + 200)
    title, rows = composed[0]
    assert title == "Suspected copies: 3 of 3 samples"
    assert [row.name for row in rows[::3]] == ["mirrored\n2 of 2", "close in\nfeatures\n1 of 1"]
    cells = [row.cells[:, 0, 0, 0].tolist() for row in rows if isinstance(row.cells, np.ndarray)]
    assert cells == [[2, 0], [103, 101], [1, 255], [100, 255]]  # 255: an empty place
    assert [rows[2].cells, rows[5].cells] == [["20.5", "30.5"], ["0.5", ""]]


def test_only_the_first_suspects_of_a_kind_are_shown_and_all_are_counted() -> None:
    table = pd.concat([pd.read_csv(io.StringIO(NEIGHBOURS_CSV))] * 10, ignore_index=True)
    table["kind"] = "exact"
    images = np.zeros((12, 3, 8, 8), np.uint8)
    few = table.head(6).assign(kind=["exact"] * 2 + ["none"] * 4)
    many_width, few_width = (neighbours.plot(rows, METRICS, images, images, images).width for rows in (table, few))
    assert many_width > few_width
