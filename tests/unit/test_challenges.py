"""The section "Challenges": each problem has its numbers, a cause, parameters that exist, and a figure."""

import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from support.report_fixtures import GOOD_RUN, IDENTICAL_STYLE, NO_COPIES, with_metrics

from omokage.params.schema import Params
from omokage.report.assessment import judge_run
from omokage.report.captions import CAPTIONS
from omokage.report.challenges import CATALOGUE, describe_problem
from omokage.report.run import LossRow, NoiseLevel, Run

FACES = GOOD_RUN.faces


def with_style(**style: float) -> Run:
    return with_metrics(style={**IDENTICAL_STYLE, **style})


def with_dark(samples: float, held_out: float, *colours: str) -> Run:
    """Return a run with these shares of samples and held-out faces in the five lowest bins of some colours."""
    groups = {"samples": samples, "held_out": held_out}
    counts = {group: [0.0, 0.0, share, 0.0, 0.0, 1 - share, *[0.0] * 18, 180.0] for group, share in groups.items()}
    return with_metrics(style_histograms=dict.fromkeys(colours, counts))


def with_copies(share: float) -> Run:
    return with_metrics(copies={**NO_COPIES, "exact": share}, copied=share)


def with_faces(**counts: Any) -> Run:
    return replace(GOOD_RUN, faces={**FACES, **counts})


def with_gap(gap: float) -> Run:
    return replace(GOOD_RUN, levels=[NoiseLevel(0.0, 0.1, 0.1 * (1 + gap))])


def with_trend(fall: float) -> Run:
    """Return a run whose loss falls by a share over the last tenth of the training, two rows of twenty."""
    losses = [1.0, *[0.1] * 17, *[0.1 * (1 - fall)] * 2]
    return replace(GOOD_RUN, losses=[LossRow(1000 * step, loss) for step, loss in enumerate(losses, 1)])


def find_challenges(run: Run) -> tuple[str, ...]:
    return judge_run(run)["Challenges"].problems


# A problem, a run just inside its limit, a run just beyond it, and a number that the text of the second must have.
LIMITS = {
    "many images dropped": (with_faces(pictures_dropped=5000), with_faces(pictures_dropped=5001), "5,001 (10 %)"),
    "small training set": (with_faces(train=5000), with_faces(train=4999), "4,999 faces"),
    "too few samples": (with_metrics(n=200), with_metrics(n=199), "199 samples"),
    "overfitting": (with_gap(0.14), with_gap(0.16), "16 % higher"),
    "strong overfitting": (with_gap(0.39), with_gap(0.41), "41 % higher"),
    "still learning": (with_trend(0.029), with_trend(0.031), "3.1 % below that of the tenth before"),
    "rising loss": (with_trend(-0.029), with_trend(-0.031), "3.1 % above that of the tenth before"),
    "low precision": (with_metrics(precision=0.68), with_metrics(precision=0.67), "67 %; that of real faces is 90 %"),
    "low recall": (with_metrics(recall=0.64), with_metrics(recall=0.62), "62 %; that of real faces is 90 %"),
    "few dark images": (
        with_dark(0.01, 0.04, "red", "blue"),
        with_dark(0.009, 0.04, "red", "blue"),
        "0.9 % instead of 4.0 % (red)",
    ),
    "colour drift": (with_style(red=8.4), with_style(red=8.6), "+8.6 in red"),
    "low sharpness": (with_style(sharpness=0.86), with_style(sharpness=0.84), "84 % of the sharpness"),
    "high sharpness": (with_style(sharpness=1.14), with_style(sharpness=1.16), "116 % of the sharpness"),
    "low contrast": (with_style(contrast=0.86), with_style(contrast=0.84), "84 % of the contrast"),
    "high contrast": (with_style(contrast=1.14), with_style(contrast=1.16), "116 % of the contrast"),
    "low saturation": (with_style(saturation=0.86), with_style(saturation=0.84), "84 % of the saturation"),
    "high saturation": (with_style(saturation=1.14), with_style(saturation=1.16), "116 % of the saturation"),
    "mode collapse": (
        with_metrics(recall=0.26, coverage=0.48),
        with_metrics(recall=0.26, coverage=0.47),
        "26 % (real faces: 90 %)",
    ),
    "memorisation": (with_metrics(copied=0.2), with_metrics(copied=0.21), "21 % of the samples are suspected copies"),
    "copies of training faces": (with_metrics(copies=NO_COPIES), with_copies(0.01), "1.0 % of the samples"),
    "samples close to training faces": (with_metrics(close=0.01), with_metrics(close=0.03), "3.0 % of the samples"),
    "repeated samples": (with_metrics(identical=0.02), with_metrics(identical=0.03), "3.0 % equal an earlier one"),
    "uniform samples": (with_metrics(uniform=0.02), with_metrics(uniform=0.03), "3.0 % of the samples"),
    "too little training": (with_faces(train=256_000), with_faces(train=256_001), "256,000 images from 256,001"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_problem_is_named_beyond_its_limit_only_and_with_its_numbers(name: str) -> None:
    inside, beyond, numbers = LIMITS[name]
    assert name not in find_challenges(inside)
    assert name in find_challenges(beyond)
    challenges = judge_run(beyond)["Challenges"]
    text = next(paragraph for paragraph in challenges.paragraphs if paragraph.lower().startswith(f"{name}: "))
    assert numbers in text.replace("\u00a0", " ")
    assert re.search("(Likely|Possible) cause: ", text) and " What to change: " in text
    assert name in challenges.short


@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
@pytest.mark.parametrize("name", CATALOGUE)
def test_a_problem_names_parameters_and_a_figure_that_exist(name: str, guidance_scale: float) -> None:
    run = replace(with_metrics(identical=0.5, uniform=0.25), guidance_scale=guidance_scale)
    inputs = [{**FACES, "dropped": {reason: 9}} for reason in ("too small", "broken")]
    for faces, sampler in product(inputs, ("ddpm", "heun")):
        problem = describe_problem(name, replace(run, faces=faces, sampler=sampler))
        words = set(re.findall(r"\w+", problem.remedy))
        assert set(problem.parameters) <= words
        assert {word for word in words if "_" in word} <= set(problem.parameters)
        assert set(problem.parameters) <= set(Params.model_fields)
        assert problem.figure in CAPTIONS


def test_images_with_little_of_one_colour_only_are_not_called_dark() -> None:
    assert "few dark images" not in find_challenges(with_dark(0.0, 0.04, "red"))


def test_every_problem_of_the_catalogue_can_be_tested_at_its_limit() -> None:
    assert set(CATALOGUE) == set(LIMITS)


def test_colour_drift_is_blamed_on_guidance_only_if_there_was_guidance() -> None:
    drifted = with_style(red=23, green=29, blue=22)
    guided = describe_problem("colour drift", replace(drifted, guidance_scale=3.0))
    unguided = describe_problem("colour drift", drifted)
    assert guided.evidence == unguided.evidence
    assert guided.parameters == ("guidance_min_log_snr", "guidance_scale")
    assert "autoguidance at scale 3." in guided.cause
    low_noise = replace(drifted, guidance_scale=3.0, guidance_min_log_snr=-3.0)
    assert describe_problem("colour drift", low_noise) == unguided
    assert unguided.parameters == ("steps", "sampler") and "the error of the network at high noise" in unguided.cause
    # A run that still learns is no reason to forget the guidance.
    learning = replace(with_trend(0.05), metrics=drifted.metrics, guidance_scale=3.0)
    text = " ".join(judge_run(learning)["Challenges"].paragraphs)
    assert "autoguidance at scale 3." in text and "too little training, which" not in text


def test_the_cause_of_wrong_colours_is_that_of_the_sampler_and_is_told_once() -> None:
    drifted = with_style(red=23)
    assert "ancestral sampling" in describe_problem("colour drift", drifted).cause
    assert "ancestral" not in describe_problem("colour drift", replace(drifted, sampler="ddim")).cause
    assert describe_problem("few dark images", drifted).cause == "that of the colour drift."
    assert "ancestral" in describe_problem("few dark images", GOOD_RUN).cause
    assert describe_problem("colour drift", replace(drifted, sampler="ddim")).parameters == ("steps",)


def test_a_cause_is_called_likely_only_if_numbers_of_the_run_support_it() -> None:
    drifted = with_style(red=23)
    (paragraph,) = judge_run(drifted)["Challenges"].paragraphs
    assert "Possible cause: the error of the network at high noise" in paragraph
    assert paragraph.endswith("See the figure style in the section Style.")
    (paragraph,) = judge_run(with_metrics(uniform=0.5))["Challenges"].paragraphs
    assert paragraph.endswith("See the samples at the top of this report.")
    losses = with_trend(0.05).losses
    first, _ = judge_run(replace(drifted, losses=losses))["Challenges"].paragraphs
    assert "Possible cause: the training ended before the loss levelled off. The falling learning rate" in first
    assert first.endswith("See the figure loss in the section Training.")
    constant, _ = judge_run(replace(drifted, losses=losses, decay=0.0))["Challenges"].paragraphs
    assert "falling learning rate" not in constant


def test_without_a_problem_the_section_says_what_was_checked() -> None:
    challenges = judge_run(GOOD_RUN)["Challenges"]
    assert not challenges.problems and challenges.short == "none that the numbers show"
    assert challenges.paragraphs[0].startswith("No problem was found. Checked were")


def test_the_reason_of_most_dropped_faces_decides_what_to_change() -> None:
    small = describe_problem("many images dropped", with_faces(dropped={"duplicate": 2, "too small": 90}))
    broken = describe_problem("many images dropped", with_faces(dropped={"broken": 90, "too small": 2}))
    assert small.parameters == ("min_side",) and "too small (90)" in small.cause
    assert broken.parameters == () and "replace these files" in broken.remedy
