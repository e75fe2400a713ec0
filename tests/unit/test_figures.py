"""The stage `figures`: stamps that name exactly what made a figure, and the same bytes in every run."""

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import resvg_py
from PIL import Image, ImageFilter
from support.clone import PYTHON_PATH
from support.fixtures import UPSTREAM_STAGES, hash_text, write_figure_inputs

from omokage.base.errors import UserError
from omokage.base.files import hash_file
from omokage.base.job import Job
from omokage.data import shards
from omokage.figures.registry import FIGURES
from omokage.figures.samples import Layout
from omokage.figures.sheet import MARGIN
from omokage.params.figures import Params
from omokage.stages import figures
from omokage.stamps.stamp import KEY, hash_pixels, read_stamp


@pytest.fixture(scope="module")
def finished_job(tmp_path_factory: pytest.TempPathFactory) -> Job[Params]:
    """A job of the stage `figures` whose outputs are written."""
    job = write_figure_inputs(tmp_path_factory.mktemp("run"))
    figures.run(job)
    return job


def read_figure_stamp(job: Job[Params], name: str) -> dict[str, Any]:
    return read_stamp(job.output(f"results/figures/{name}"))


def expect_chart(name: str, stages: set[str]) -> dict[str, set[str]]:
    """Return the stages that a chart depends on, for both of its files."""
    return {f"{name}.png": stages, f"{name}.svg": stages}


def test_a_stamp_contains_what_the_figure_depends_on_and_nothing_else(finished_job: Job[Params]) -> None:
    data = {"download", "detect", "faces"}
    expected: dict[str, set[str]] = {
        **expect_chart("loss", {*data, "train"}),
        **expect_chart("noise_levels", {*data, "train"}),
        **expect_chart("architecture", set()),
        **expect_chart("schedule", set()),
        **expect_chart("hyperparameters", set()),
        "noising.png": data,
        "denoising.png": {*data, "train", "sample"},
        "denoising.gif": {*data, "train", "sample"},
        "samples.png": {*data, "train", "sample"},
        "samplers.png": {*data, "train", "sample"},
        **expect_chart("style", set(UPSTREAM_STAGES) - {"transform"}),
        "neighbours.png": set(UPSTREAM_STAGES) - {"transform"},
        "transformed.png": {*data, "train", "transform"},
        "between.png": {*data, "train", "transform"},
        "contact.png": data,
        "data_card.png": data,
        **expect_chart("scores", set(UPSTREAM_STAGES) - {"transform"}),
        **expect_chart("progress", set(UPSTREAM_STAGES) - {"transform"}),
        **expect_chart("study", set(UPSTREAM_STAGES) - {"transform"}),
    }
    stamps = {name: read_figure_stamp(finished_job, name) for name in FIGURES}
    assert {name: set(stamp["runs"]) for name, stamp in stamps.items()} == expected
    assert stamps["samples.png"]["params"] == {"grid_side": 2}
    assert stamps["samples.png"]["runs"]["train"]["params"]["lr"] == 1e-3
    assert '"lr"' not in json.dumps(stamps["schedule.png"])
    noising = stamps["noising.png"]
    assert noising["params"] == {"schedule": "cosine", "timesteps": 1000, "zero_snr": False, "log_snr_shift": 0.0}
    assert noising["facts"] == {"mean": [0.5, 0.4, 0.3], "std": 0.3}
    study = stamps["study.png"]
    assert study["facts"] == {"ema_kind": "ema", "sampler": "ddim", "sample_steps": 20}
    assert noising["deps"] == {"data/faces": hash_text("data/faces")}


def test_a_stamp_lists_no_code_of_other_figures(finished_job: Job[Params]) -> None:
    code = read_figure_stamp(finished_job, "samples.png")["code"]
    assert set(code) == {f"src/omokage/{name}.py" for name in ("stages/figures", "figures/style", "figures/samples")}


def test_no_stamp_contains_the_path_of_the_users_images(finished_job: Job[Params]) -> None:
    for name in FIGURES:
        assert "secret" not in json.dumps(read_figure_stamp(finished_job, name))
    run = read_figure_stamp(finished_job, "samples.png")["runs"]["download"]
    assert run["deps"] == {"folder": hash_text("remote://checkout/../secret/mine")}


def test_figures_have_no_metadata_but_the_stamp(finished_job: Job[Params]) -> None:
    gif_keys = {"comment", "version", "background", "duration", "extension", "loop", "transparency"}
    for name in FIGURES:
        if name.endswith("svg"):
            continue
        with Image.open(finished_job.output(f"results/figures/{name}")) as image:
            assert set(image.info) <= (gif_keys if name.endswith("gif") else {KEY, "transparency"})


def test_another_process_with_other_settings_writes_the_same_bytes(finished_job: Job[Params], tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from omokage.stages import figures; "
        "from support.fixtures import write_figure_inputs; figures.run(write_figure_inputs(Path(sys.argv[1])))"
    )
    settings = tmp_path / "matplotlibrc"
    settings.write_text("font.family: serif\nlines.linewidth: 9\nfigure.facecolor: red\n")
    environment = {
        "PYTHONPATH": PYTHON_PATH,
        "MATPLOTLIBRC": str(settings),
        "HOME": os.environ["HOME"],
        "PYTHONHASHSEED": "7",
    }
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    for name in FIGURES:
        path = f"results/figures/{name}"
        assert (tmp_path / "run" / path).read_bytes() == finished_job.output(path).read_bytes(), name


def test_the_recorded_hashes_identify_a_figure_without_its_stamp(finished_job: Job[Params], tmp_path: Path) -> None:
    hashes = finished_job.facts["figures"]
    assert set(hashes) == set(FIGURES)
    for name, recorded in hashes.items():
        path = finished_job.output(f"results/figures/{name}")
        assert recorded == {"sha256": hash_file(path), "pixels": hash_pixels(path)}
    with Image.open(finished_job.output("results/figures/loss.png")) as image:
        image.convert("RGB").save(tmp_path / "stripped.png")
    assert hash_pixels(tmp_path / "stripped.png") == hashes["loss.png"]["pixels"]
    assert len({recorded["pixels"] for recorded in hashes.values()}) == len(hashes)
    with pytest.raises(UserError, match="no Omokage metadata"):
        read_stamp(tmp_path / "stripped.png")


def test_an_svg_is_identified_without_its_stamp_but_not_after_an_edit(
    finished_job: Job[Params], tmp_path: Path
) -> None:
    figure, recorded = finished_job.output("results/figures/loss.svg"), finished_job.facts["figures"]["loss.svg"]
    stripped, edited = tmp_path / "stripped.svg", tmp_path / "edited.svg"
    stripped.write_text(re.sub("<metadata.*</metadata>\n", "", figure.read_text()))
    assert hash_pixels(stripped) == hash_pixels(figure) == recorded["pixels"]
    assert read_stamp(figure)["pixels"] == recorded["pixels"]
    with pytest.raises(UserError, match="no Omokage metadata"):
        read_stamp(stripped)
    edited.write_text(figure.read_text().replace("stroke: ", "stroke:", 1))
    assert read_stamp(edited) == read_stamp(figure)
    assert hash_pixels(edited) != recorded["pixels"]


def test_an_input_that_differs_from_its_record_is_refused(tmp_path: Path) -> None:
    job = write_figure_inputs(tmp_path)
    with pytest.raises(UserError, match=r"results/loss\.csv is not from the recorded run of train"):
        figures.run(replace(job, deps={**job.deps, "results/loss.csv": hash_text("another")}))


def test_faces_are_shown_pixel_by_pixel(finished_job: Job[Params]) -> None:
    faces = shards.read_faces(finished_job.input("data/faces"), "held_out").numpy()
    with Image.open(finished_job.output("results/figures/samples.png")) as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    layout = Layout.compute(faces, 2)
    left, top = MARGIN + layout.grid + layout.gap, MARGIN + layout.head
    shown = sheet[top : top + 96, left : left + 96]
    pixels = shown[::12, ::12]
    assert np.array_equal(shown, pixels.repeat(12, 0).repeat(12, 1))
    # The colours are rounded to multiples of 4.
    assert np.abs(pixels - faces[0].transpose(1, 2, 0)).max() <= 2


def test_the_animation_ends_with_the_clean_images_and_shows_them_longer(finished_job: Job[Params]) -> None:
    with Image.open(finished_job.output("results/figures/denoising.gif")) as image:
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
    assert image.n_frames == 5
    assert durations[-1] > 5 * durations[0]


def test_the_svg_of_a_chart_looks_like_its_png(finished_job: Job[Params]) -> None:
    for name in (name for name in FIGURES if name.endswith("svg")):
        path = finished_job.output(f"results/figures/{name}")
        with Image.open(path.with_suffix(".png")) as image:
            png = image.convert("L")
        rendered = resvg_py.svg_to_bytes(svg_string=path.read_text(), width=png.width, dpi=96.0, skip_system_fonts=True)
        svg = Image.open(io.BytesIO(rendered)).convert("L").resize(png.size)
        blurred_png, blurred_svg = (
            np.asarray(image.filter(ImageFilter.GaussianBlur(3)), float).ravel() for image in (png, svg)
        )
        assert np.corrcoef(blurred_png, blurred_svg)[0, 1] > 0.85, name
        root = ElementTree.fromstring(path.read_text())
        inches = float(root.attrib["width"].removesuffix("pt")) / 72
        assert png.width == int(50 * inches)
        assert not list(root.iter("{http://www.w3.org/2000/svg}text")) and 'href="http' not in path.read_text()
