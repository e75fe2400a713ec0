"""The plots of single figures: their content, and the limits of their file sizes."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.fixtures import METRICS, NEIGHBOURS_CSV, PROGRESS_CSV, STUDY_CSV, hash_text

from omokage.data import text_arrays
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
from omokage.report.embedded_figure import EmbeddedFigure
from omokage.stamps.stamp import save_gif, save_png, save_svg

STYLE: dict[str, Any] = {"figure_style": "whitegrid", "figure_palette": "colorblind", "figure_dpi": 120}


def make_noise(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def plot_noise(side: int) -> dict[str, Image.Image]:
    """Return every sheet, plotted from noise images of this side length, which cannot be compressed."""
    frames = {"t": np.arange(11), "x_t": make_noise(11, 8, 3, side, side), "x0": make_noise(11, 8, 3, side, side)}
    card = {
        "pictures": make_noise(40, 3, 96, 96),
        "boxes": np.zeros((0, 6), np.int16),
        "dropped": make_noise(12, 3, side, side),
        "kinds": text_arrays.encode(["duplicate"] * 12),
        "sizes": np.full(9, 100, np.int32),
        **{f"{split}_faces": make_noise(12, 3, side, side) for split in ("train", "held_out")},
        **{f"{split}_colours": np.zeros((9, 3), np.uint8) for split in ("train", "held_out")},
    }
    counts = {"train": 9, "held_out": 9, "dropped": {"duplicate": 9}}
    nearest = pd.DataFrame({key: range(12) for key in pd.read_csv(io.StringIO(NEIGHBOURS_CSV)).columns})
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
        "denoising": denoising.plot(frames),
        "noising": noising.plot(make_noise(3, 3, side, side), **noise_schedule, mean=[0.5] * 3, std=0.3),
        "contact": contact.plot(card),
        "data_card": data_card.plot(card, counts, **STYLE),
        "neighbours": neighbours.plot(nearest, images, images, images),
        "transformed": transformed.plot(edits),
        "between": between.plot(make_noise(3, 8, 3, side, side)),
    }


@pytest.mark.parametrize("side", [32, 64, 128])
def test_sheets_of_noise_stay_within_the_size_limit_of_a_run(side: int, tmp_path: Path) -> None:
    for name, sheet in plot_noise(side).items():
        save_png(sheet, tmp_path / f"{name}.png", {})
    frames = {"t": np.arange(11), "x_t": make_noise(11, 8, 3, side, side), "x0": make_noise(11, 8, 3, side, side)}
    save_gif(*animation.plot(frames), tmp_path / "animation.gif", {})
    files = list(tmp_path.iterdir())
    embedded = sum(len(EmbeddedFigure("", "", path).data_uri) for path in files if path.suffix == ".png")
    sizes = {path.stem: path.stat().st_size for path in files}
    # The charts, tables and records of a run take another 700 kB.
    assert sum(sizes.values()) + embedded + 700_000 < 3_000_000, sizes


def test_an_animation_of_large_images_shows_fewer_of_them(tmp_path: Path) -> None:
    frames = {"t": np.arange(12), "x_t": make_noise(12, 8, 3, 48, 48), "x0": make_noise(12, 8, 3, 48, 48)}
    save_gif(*animation.plot(frames), tmp_path / "x.gif", {})
    assert 50_000 < (tmp_path / "x.gif").stat().st_size < 300_000


def test_charts_of_long_tables_stay_small(tmp_path: Path) -> None:
    steps = np.arange(10, 300_000, 10)
    rows = pd.DataFrame({"step": steps, "lr": 1e-3, "loss": np.random.default_rng(0).random(len(steps)) + 0.1})
    rows["held_out"] = rows["loss"].where(rows.index % 1500 == 0)
    entries = [(w, s, e, 9.5, 0.1, 100) for w in ("ema", "raw") for s in "abcde" for e in (5, 10, 20, 50, 100)]
    charts = {
        "loss": loss.plot(rows, **STYLE),
        "schedule": schedule.plot(schedule="linear", timesteps=10_000, zero_snr=True, log_snr_shift=0.0, **STYLE),
        "scores": scores.plot(METRICS, **STYLE),
        "study": study.plot(pd.DataFrame(entries, columns=STUDY_CSV.split("\n")[0].split(",")), **STYLE),
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
    neighbours.plot(pd.read_csv(io.StringIO(NEIGHBOURS_CSV)), numbered, numbered + 100, numbered + 200)
    (sample, train, train_distance, held_out, held_out_distance), *_ = composed
    assert [row.cells[:, 0, 0, 0].tolist() for row in (sample, train, held_out)] == [
        [1, 2, 0],
        [105, 103, 101],
        [200, 208, 202],
    ]
    assert (train_distance.cells, held_out_distance.cells) == (["9.5", "20.5", "30.5"], ["31.0", "7.0", "20.0"])


@pytest.mark.parametrize(("plot", "table"), [(progress.plot, PROGRESS_CSV), (study.plot, STUDY_CSV)])
def test_a_chart_without_data_holds_a_message(plot: Callable[..., Any], table: str) -> None:
    rows = pd.read_csv(io.StringIO(table))
    message = plot(rows.head(0), **STYLE)
    assert message.image.height < 0.4 * plot(rows, **STYLE).image.height
    assert np.asarray(message.image.convert("L")).min() < 80
