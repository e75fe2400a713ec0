"""The figures that show images: their content, and the limits of their file sizes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.fixtures import METRICS, NEIGHBOURS_CSV

from omokage.data import text_arrays
from omokage.figures import (
    animation,
    between,
    contact,
    data_card,
    denoising,
    neighbours,
    noising,
    samplers,
    samples,
    sheet,
    transformed,
)
from omokage.figures.sheet import describe_size, enlarge_image
from omokage.report.embedded_figure import EmbeddedFigure
from omokage.stamps.stamp import save_gif, save_png

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


def test_an_animation_of_large_images_shows_fewer_of_them(tmp_path: Path) -> None:
    save_gif(*animation.plot(make_frames(12, 48)), tmp_path / "x.gif", {})
    assert 50_000 < (tmp_path / "x.gif").stat().st_size < 300_000


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
