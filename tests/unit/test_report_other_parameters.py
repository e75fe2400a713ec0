"""Sentences of the report that hold for the default parameters, and would be false for others, are not there then."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.fixtures import NETWORK
from support.report_fixtures import GOOD_RUN, IDENTICAL_STYLE, make_denoising_frames, with_metrics
from support.report_records import DEFAULTS, FACTS, MANIFEST, list_texts, make_records, read_rows
from support.verdicts import read_paragraphs, summarise_sections

from omokage.diffusion.objective import compute_loss_weight
from omokage.diffusion.schedule import Schedule
from omokage.report.alt_texts import describe_figure
from omokage.report.captions import CAPTIONS
from omokage.report.content import DenoisingPlayer
from omokage.report.data_section import describe_data
from omokage.report.evidence import Evidence
from omokage.report.model_section import describe_model, summarise_model
from omokage.report.objective_settings import tabulate_objective
from omokage.report.run import Duration, LossRow
from omokage.report.run_section import describe_run
from omokage.report.sections import describe_denoising, describe_editing
from omokage.report.sprite_sheet import SpriteSheet
from omokage.report.training_loss import FACES_PER_LEVEL
from omokage.report.training_settings import describe_evaluations, tabulate_training
from omokage.training import validation

FRAMES = make_denoising_frames(3, 5)
AVATARS = {**MANIFEST, "source": "avatars"}
PLAYER = DenoisingPlayer(SpriteSheet.pack(FRAMES), "", "", [])


def read_data(manifest: Mapping[str, Any] = MANIFEST, faces: Mapping[str, Any] | None = None, **params: Any) -> str:
    run = replace(GOOD_RUN, faces={**GOOD_RUN.faces, **(faces or {})})
    return " ".join(list_texts(describe_data(run, make_records(**params), manifest)[1]))


def read_objective(**params: Any) -> dict[str, list[str]]:
    return read_rows(tabulate_objective({**DEFAULTS, **params}))


def read_training(**params: Any) -> str:
    return " ".join(list_texts([tabulate_training({**DEFAULTS, **params}, {**FACTS, "best_step": 9}, 100)]))


def read_denoising(**params: Any) -> str:
    records = make_records()
    for record in records:
        if record["stage"] == "sample":
            record["params"] = {**DEFAULTS, **params}
    return " ".join(
        list_texts([block for block in describe_denoising(GOOD_RUN, records, PLAYER)[1] if block != "samplers"])
    )


def make_evidence(study: list[dict[str, str]] | None = None, **params: Any) -> Evidence:
    return Evidence(replace(GOOD_RUN, study=study or []), {**DEFAULTS, **params}, NETWORK, [1.0, 9.0], FRAMES)


TWO_STAGES = Duration("cpu", machines=dict.fromkeys(["sample", "figures"], "CPU 9, 2 cores"))
ALL_STAGES = Duration("cpu", machines={record["stage"]: "CPU 9, 2 cores" for record in make_records()})
# By subject: the text for parameters for which a sentence is true, the text for others, and the sentence.
CASES: dict[str, tuple[str, str, str]] = {
    "the defaults": (read_data(AVATARS), read_data(), "chosen by scores on held-out avatars"),
    "small images": (read_data(), read_data(faces={"detected": 5}), "all images are square"),
    "searched images": (
        read_data(faces={"dropped": {"no face found": 5}}),
        read_data(),
        "nearly square images of at most 256 pixels (512 if nearly all images are face crops) are used whole",
    ),
    "enlarged crops": (
        read_data(image_size=128),
        read_data(image_size=32),
        "48 pixels is enlarged 2.7 times",
    ),
    "decay": (
        read_paragraphs(replace(GOOD_RUN, losses=[LossRow(i, 1 - 0.02 * i) for i in range(1, 41)])),
        read_paragraphs(replace(GOOD_RUN, losses=[LossRow(i, 1 - 0.02 * i) for i in range(1, 41)], decay=0.0)),
        "effect of the falling learning rate",
    ),
    "keep_best": (
        read_paragraphs(GOOD_RUN),
        read_paragraphs(replace(GOOD_RUN, keep_best=True)),
        "At the end of training",
    ),
    "ema_kind": (
        read_training(keep_best=True, ema_kind="posthoc"),
        read_training(keep_best=True),
        "the samples are from the post-hoc EMA instead",
    ),
    "init_from": (
        read_paragraphs(replace(GOOD_RUN, losses=[LossRow(1, 0.5), LossRow(2, 0.48)])),
        read_paragraphs(replace(GOOD_RUN, losses=[LossRow(1, 0.5), LossRow(2, 0.48)], init_from="a.safetensors")),
        "Train for more steps, or check lr and warmup",
    ),
    "optimiser": (read_training(), read_training(optimiser="adamw"), "0.0035 and 0.006 gave distances"),
    "batch size": (read_training(), read_training(image_size=32), "batches of 16 instead of 64"),
    "eta": (read_denoising(), read_denoising(sampler="ddim", eta=0.5), "depends on the starting noise alone"),
    "steps of heun": (read_denoising(sampler="heun"), read_denoising(), "The sampler of this run, heun"),
    "steps of dpm-solver++": (read_denoising(sampler="dpm-solver++"), read_denoising(), "run, dpm-solver++, takes"),
    "steps of ddpm-large": (read_denoising(sampler="ddpm-large"), read_denoising(), "larger variance σ_t|s²"),
    "guidance": (read_denoising(), read_denoising(guidance_scale=1.0), "without those of the guiding model"),
    "guided prediction": (read_denoising(), read_denoising(guidance_scale=1.0), "the prediction is p_g + w (p − p_g)"),
    "between": (
        describe_figure("between", make_evidence()),
        describe_figure("between", make_evidence(transform_between=2)),
        "those between them",
    ),
    "the source of the summary": (
        summarise_model(make_records(), AVATARS, GOOD_RUN.faces, Duration("cpu")),
        summarise_model(make_records(), MANIFEST, GOOD_RUN.faces, Duration("cpu")),
        "not trained on illustrations",
    ),
    "the machine of some stages": (
        str(describe_run(replace(GOOD_RUN, duration=TWO_STAGES), make_records())),
        str(describe_run(GOOD_RUN, make_records())),
        "Of the stages, sample and figures ran on this machine: CPU 9, 2 cores.",
    ),
    "the machine of all stages": (
        str(describe_run(replace(GOOD_RUN, duration=ALL_STAGES), make_records())),
        str(describe_run(replace(GOOD_RUN, duration=TWO_STAGES), make_records())),
        "All stages ran on this machine: CPU 9, 2 cores.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_sentence_is_there_only_for_parameters_for_which_it_is_true(name: str) -> None:
    true, false, sentence = CASES[name]
    assert sentence in true and sentence not in false


def test_no_text_claims_what_depends_on_other_parameters() -> None:
    texts = [read_data(), read_data(AVATARS), read_training(), read_denoising(), read_paragraphs(GOOD_RUN)]
    texts += [" ".join(list_texts(describe_editing(make_evidence(transform_steps=4))[1]))]
    texts += [" ".join(list_texts(describe_model(make_records())[1])), *(caption.text for caption in CAPTIONS.values())]
    texts += [describe_figure(name, make_evidence()) for name in CAPTIONS if name != "hyperparameters"]
    for words in (
        "no copy of a held-out face",
        "too little detail",
        "needs a lower rate",
        "nearly exact",
        "a large part of the face",
        "Most samples look real",
        "Differences of a few percent",
        "more in each row",
        "guiding model are not counted",
        "DDIM does not",
        "spread evenly in log-SNR",
    ):
        assert [text for text in texts if words in text] == []


@pytest.mark.parametrize(
    ("params", "weight", "end"),
    [
        ({}, "the weight max(0.1, min(SNR, 5) / (SNR + 1)), which is 0.833 at most", "at both ends of the schedule"),
        ({"prediction": "eps"}, "squared error in eps, with the weight max(0.1, min(SNR, 5) / SNR)", "at low noise"),
        ({"prediction": "x0"}, "squared error in x0, with the weight max(0.1, min(SNR, 5))", "at high noise"),
        ({"loss_weighting": "snr"}, "the weight max(0.1, SNR / (SNR + 1))", "at high noise"),
        ({"loss_weighting": "snr", "prediction": "eps"}, "squared error in eps, unweighted", "without effect"),
        ({"loss_weighting": "truncated_snr"}, "the weight max(SNR, 1) / (SNR + 1)", "without effect"),
    ],
)
def test_the_loss_is_given_in_what_is_predicted_and_the_minimum_where_it_acts(
    params: dict[str, Any], weight: str, end: str
) -> None:
    rows = read_objective(**params)
    assert weight in rows["loss"][0] and end in rows["minimum loss weight"][1]
    acts_at_high_noise = end in ("at high noise", "at both ends of the schedule")
    assert ("decides the overall colours" in rows["minimum loss weight"][1]) == acts_at_high_noise


def test_the_weight_in_words_is_the_weight_of_the_loss() -> None:
    snr = Schedule.make("cosine", 100).log_snr.exp()
    weights = compute_loss_weight("min_snr", "v", snr, 5.0, 0.1)
    expected = [max(0.1, min(float(value), 5.0) / (float(value) + 1)) for value in snr]
    assert weights.tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("precision", [0.37, 0.5])
def test_a_collapse_with_a_low_precision_is_not_called_realistic(precision: float) -> None:
    run = with_metrics(precision=precision, recall=0.1, coverage=0.1)
    assert "collapsed" in summarise_sections(run)["Sample quality"]
    assert "look real" not in read_paragraphs(run)


def test_a_small_ratio_of_style_is_not_called_hard_to_see() -> None:
    run = with_metrics(style={**IDENTICAL_STYLE, "contrast": 0.5})
    assert "50 % of their contrast" in read_paragraphs(run) and "Differences of a" not in read_paragraphs(run)


def test_the_sets_below_the_samplers_are_those_that_the_figure_shows() -> None:
    def describe(*entries: str) -> str:
        study = [dict(zip(("weights", "sampler", "evaluations"), entry.split(":"), strict=True)) for entry in entries]
        study = [row | {"distance": "9", "n": "9"} for row in study]
        return describe_figure("samplers", make_evidence(study, sampler="ddpm", sample_steps=20))

    assert "Below" not in describe("ema:ddim:20")  # the second row
    assert "Below: 1 set of sampler_study." in describe("ema:ddim:20", "raw:ddim:20")
    assert "Below: 4 sets of" in describe(*(f"ema:heun:{count}" for count in range(1, 9)))


def test_the_errors_of_both_sets_are_followed_through_the_training() -> None:
    losses = [LossRow(1, 1.0, 0.5, 0.505), LossRow(2, 0.9), LossRow(3, 0.8, 0.4, 0.41)]
    text = read_paragraphs(replace(GOOD_RUN, losses=losses))
    assert "The difference went from +1.0 to +2.5 % during training, and the held-out error fell to the end." in text
    assert "can be chance with so few faces" in text
    rising = read_paragraphs(replace(GOOD_RUN, losses=[*losses, LossRow(4, 0.7, 0.3, 0.45)]))
    assert "the held-out error had its minimum, 0.41, before the end." in rising and "so few faces" not in rising
    assert "The difference went" not in read_paragraphs(GOOD_RUN)
    assert FACES_PER_LEVEL == validation.FACES_PER_LEVEL


@pytest.mark.parametrize(
    ("sampler", "guided", "total"), [("ddpm", 15, 35), ("ddpm", 20, 40), ("heun", 4, 19 + 8), ("heun", 10, 38)]
)
def test_the_evaluations_of_the_guiding_model_are_counted(sampler: str, guided: int, total: int) -> None:
    params = {**DEFAULTS, "sampler": sampler, "sample_steps": 20, "guidance_scale": 2.0, "guidance_min_log_snr": -3.0}
    assert describe_evaluations(params, guided).endswith(f": {total} in all")
    assert ": at most" in describe_evaluations(params)


def test_the_closest_sample_is_described_if_it_is_known() -> None:
    text = read_paragraphs(with_metrics(closest={"train": 8.2, "held_out": 19.0}))
    assert "The closest sample differs by 8.2 of 255 from its nearest training face, and by 19 from" in text
    assert "The closest sample" not in read_paragraphs(GOOD_RUN)
    assert "no sample is as close" in read_paragraphs(with_metrics(close=0.0))
