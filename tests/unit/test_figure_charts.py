"""The charts: their content, and the limits of their file sizes."""

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
from support.fixtures import METRICS, PROGRESS_CSV, STUDY_CSV, hash_text
from support.report_fixtures import GOOD_RUN

from omokage.evaluation.scores.style import COLOURS, compare_style, compute_histograms, measure_style
from omokage.figures import (
    hyperparameters,
    loss,
    noise_levels,
    progress,
    schedule,
    scores,
    study,
    style_fidelity,
)
from omokage.figures.style import Chart
from omokage.report.run import NoiseLevel
from omokage.report.training_loss import compute_mean_error
from omokage.report.wording import format_number
from omokage.stamps.stamp import save_svg

NO_ROWS = pd.DataFrame(columns=["step", "lr", "loss", "train", "held_out"])
STYLE: dict[str, Any] = {"figure_style": "whitegrid", "figure_palette": "colorblind", "figure_dpi": 120}

RUN: dict[str, Any] = {"ema_kind": "ema", "sampler": "ddim", "sample_steps": 20}


@pytest.mark.parametrize(("rows", "is_smoothed"), [(3, False), (19, False), (20, True), (200, True)])
def test_the_loss_of_a_short_table_is_not_smoothed(rows: int, is_smoothed: bool) -> None:
    table = pd.DataFrame({"step": np.arange(1, rows + 1), "lr": 1e-3, "loss": np.linspace(0.9, 0.7, rows)})
    table["train"] = table["held_out"] = table["loss"]
    texts = read_texts(loss.plot(table, NO_ROWS, **STYLE))
    assert any("mean of" in text for text in texts) == is_smoothed
    steps = {text for text in texts if re.fullmatch(r"[\d.]+k?", text)} - {"0.7", "0.8", "0.9", "0.75", "0.85"}
    assert all(re.fullmatch(r"\d+|0\.00\d+", text) for text in steps), steps
    assert {"0.7", "0.8"} <= texts


def test_the_smoothed_loss_ends_with_a_mean_of_a_full_window() -> None:
    smooth = loss._smooth(np.array([0.0] * 35 + [1.0, 2.0, 4.0, 8.0, 16.0]), 2)
    assert len(smooth) == 38 and smooth[-1] == (1.0 / 2 + 2.0 + 4.0 + 8.0 + 16.0 / 2) / 4


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


def test_the_loss_at_half_the_size_has_a_line_of_its_own() -> None:
    table = pd.DataFrame({"step": np.arange(1, 41), "lr": 1e-3, "loss": 0.5, "train": 0.4, "held_out": 0.4})
    before = pd.DataFrame({"step": np.arange(1, 61), "lr": 1e-3, "loss": np.linspace(0.9, 0.6, 60)})
    label = "before, at half the size"
    assert label in read_texts(loss.plot(table, before, **STYLE))
    assert label not in read_texts(loss.plot(table, NO_ROWS, **STYLE))


def test_charts_of_long_tables_stay_small(tmp_path: Path) -> None:
    steps = np.arange(10, 300_000, 10)
    rows = pd.DataFrame({"step": steps, "lr": 1e-3, "loss": np.random.default_rng(0).random(len(steps)) + 0.1})
    rows["train"] = rows["held_out"] = rows["loss"].where(rows.index % 1500 == 0)
    entries = [(w, s, e, 9.5, 0.1, 100) for w in ("ema", "raw") for s in "abcde" for e in (5, 10, 20, 50, 100)]
    charts = {
        "loss": loss.plot(rows, rows, **STYLE),
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


def test_the_figure_of_style_shows_the_values_whose_means_the_report_compares() -> None:
    noise = torch.randint(256, (40, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = {"a": noise, "b": noise // 2}
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


def test_a_face_rate_that_says_little_is_left_out_of_the_chart() -> None:
    low, high = (scores.plot({**METRICS, "face_rate_floor": rate}, **STYLE) for rate in (0.19, 0.2))
    assert "face rate" not in " ".join(read_texts(low)) and "face rate" in read_texts(high)
