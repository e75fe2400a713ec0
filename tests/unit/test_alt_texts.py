"""Alternative texts: every figure has one, and the numbers in it are those of the run."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.report_fixtures import GOOD_RUN, IDENTICAL_STYLE, make_denoising_frames, with_metrics

from omokage.report.alt_texts import ALT_TEXTS, describe_figure
from omokage.report.captions import CAPTIONS
from omokage.report.evidence import Evidence
from omokage.report.run import LossRow, NoiseLevel, Run

PARAMS: dict[str, Any] = {
    "schedule": "cosine",
    "image_size": 32,
    "sampler": "ddim",
    "sample_steps": 20,
    "timesteps": 1000,
}
PARAMS |= {"grid_side": 5, "ema_kind": "ema", "transform_between": 8, "transform_strengths": [0.5, 0.95]}
NETWORK = [
    {"kind": "down", "side": 16, "channels": 48, "heads": 0, "parameters": 1000},
    {"kind": "down", "side": 4, "channels": 96, "heads": 2, "parameters": 2345},
]


TRIAL = {
    **{"schedule": "cosine", "prediction": "v", "lr": "0.004", "distance": "97.5", "distance_floor": "20"},
    **{"distance_low": "95", "distance_high": "99", "precision": "0.1", "recall": "0.1", "train.seconds": "60"},
}
EXAMPLE_RUN = replace(GOOD_RUN, trials=[TRIAL, TRIAL | {"prediction": "eps", "lr": "0.001", "distance": "215"}])


def describe(name: str, run: Run = EXAMPLE_RUN, frames: Mapping[str, Any] | None = None) -> str:
    """Return the alternative text of a figure, with plain spaces."""
    evidence = Evidence(run, PARAMS, NETWORK, [4.02, 31.26], frames or make_denoising_frames(3, 5))
    return describe_figure(name, evidence).replace("\u00a0", " ")


def test_every_figure_has_an_alternative_text_of_whole_sentences_that_is_not_its_caption() -> None:
    assert ALT_TEXTS.keys() == CAPTIONS.keys()
    for name, caption in CAPTIONS.items():
        text = describe(name)
        assert text != caption.text and text.endswith(".") and 60 < len(text) < 400, text
        assert any(character.isdigit() for character in text), text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "loss",
            "The training loss goes from 1 to 0.101 (mean of the last tenth) over 4,000 steps.",
        ),
        ("noise_levels", "0.203 at −5.0, 0.101 at +0.0 (its minimum) and 0.306 at +5.0."),
        ("scores", "Fréchet distance 4 (95 % interval 3.8 to 4.2), real faces 3.6; KID 0.001"),
        ("architecture", "2 levels of 16 and 4 pixels with 48 and 96 channels down"),
        ("architecture", "Self-attention at 4 pixels. 3,345 parameters."),
        ("samples", "+0.5 in red, +0.0 in green and −0.5 in blue"),
        ("transformed", "strengths of 50 % and 95 %. The DDIM round trip"),
        (
            "transformed",
            "root mean square errors of 4.02 to 31.3 (of 255).",
        ),
        ("data_card", "45,000 training faces and 5,000 held-out faces. Dropped: none."),
        ("study", "with ddim and 20 evaluations: Fréchet distance 4"),
        (
            "hyperparameters",
            "2 combinations, from 97.5 (cosine, v, learning rate 0.004) to 215 (cosine, eps, learning rate 0.001).",
        ),
        ("samplers", "ddim with 20 evaluations of the network in the first row, ddpm with as many in the second."),
        ("samples", "A grid of up to 5 × 5 of 5,000 samples on the left"),
        ("architecture", "The noise level is an input of every block."),
        ("style", "by +0.5 in red, +0.0 in green and −0.5 in blue (of 255)"),
        ("style", "the samples have contrast 1, saturation 1 and sharpness 1."),
        ("progress", "After 4,000 steps: Fréchet distance 4"),
        ("schedule", "At t = 3, where the sampler starts, the log-SNR is −6.0 nats."),
    ],
)
def test_the_numbers_are_those_of_the_run(name: str, expected: str) -> None:
    assert expected in describe(name)


def test_other_numbers_get_other_texts() -> None:
    run = replace(
        with_metrics(distance=7.0, precision=0.3, copy_ratio=0.5, style={**IDENTICAL_STYLE, "red": 9.0}),
        losses=[LossRow(10, 0.5), LossRow(20, 0.7)],
        levels=[NoiseLevel(2.0, 0.4, 0.3), NoiseLevel(-2.0, 0.2, 0.15)],
        faces={**GOOD_RUN.faces, "train": 1, "kept": 2, "dropped": {"blurred": 3, "copy": 4}},
    )
    same = {"samplers", "schedule", "architecture", "animation", "denoising", "between", "noising", "transformed"}
    assert {name for name in CAPTIONS if describe(name) == describe(name, run)} == same
    assert "goes from 0.5 to 0.7 (mean of the last tenth) over 20 steps" in describe("loss", run)
    assert "Dropped: 3 (blurred) and 4 (copy)." in describe("data_card", run)


def test_a_denoising_says_from_where_on_the_prediction_is_the_clean_image() -> None:
    frames = make_denoising_frames(2, 5)
    x0 = frames["x0"].astype(int)
    x0[0] += 40
    x0[1] -= 20
    x0[2] += 9
    frames["x0"] = x0.astype(np.uint8)
    text = describe("denoising", frames=frames)
    assert "by 40 of 255" in text and "at most 10 from a log-SNR of +0.0 on" in text
    frames["x0"][3] += 30
    assert "at most 10 only in the clean image" in describe("denoising", frames=frames)


def test_progress_and_study_name_the_best_of_their_rows() -> None:
    progress = [
        {"step": str(step), "distance": str(distance)} for step, distance in ((10, 90.5), (20, 40.25), (30, 50))
    ]
    study = [
        {"weights": "ema", "sampler": "heun", "evaluations": "10", "distance": "30.5"},
        {"weights": "raw", "sampler": "ddim", "evaluations": "50", "distance": "20.5"},
    ]
    run = replace(GOOD_RUN, progress=progress, study=study)
    assert "from 90.5 at step 10 to 50 at step 30, with its minimum of 40.2 at step 20." in describe("progress", run)
    assert "The lowest distance of the study is 20.5, with raw weights, ddim and 50 evaluations." in describe(
        "study", run
    )
