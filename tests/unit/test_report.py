"""The report's verdicts: different runs get different words, and every sentence is short."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.report_fixtures import GOOD_RUN, IDENTICAL_STYLE, TINY_RUN, with_metrics, with_progress
from support.verdicts import NONE_FOUND, read_paragraphs, summarise_sections

from omokage.report import tables
from omokage.report.assessment import summarise_run
from omokage.report.captions import CAPTIONS
from omokage.report.run import Duration, LossRow, NoiseLevel, Run

SNAPSHOTS = Path(__file__).parents[1] / "support" / "snapshots"
UNDERTRAINED_RUN = replace(
    with_metrics(distance=41.0, kid=0.05, style={**IDENTICAL_STYLE, "red": 25.2, "green": -12.7, "sharpness": 0.7}),
    losses=[LossRow(10 * row, 1.0 - 0.012 * row) for row in range(1, 41)],
)
OVERFITTING_RUN = replace(
    GOOD_RUN,
    levels=[NoiseLevel(5.0, 0.30, 0.36), NoiseLevel(0.0, 0.10, 0.25), NoiseLevel(-5.0, 0.20, 0.30)],
    faces={
        **GOOD_RUN.faces,
        **{
            "pictures": 900,
            "pictures_dropped": 100,
            "kept": 800,
            "train": 700,
            "dropped": {"duplicate": 90, "too small": 10},
        },
    },
)
TRAIN_PARAMS = {"decay": 0.5, "keep_best": False, "init_from": "none"}


def load_snapshot(name: str) -> Run:
    """Return a run whose outputs were saved by support/snapshots/make.py."""

    def locate(path: str) -> Path:
        file = SNAPSHOTS / name / Path(path).name
        return file if file.exists() else SNAPSHOTS / "good" / file.name

    records = [
        {"stage": "train", "facts": {}, "params": {**TRAIN_PARAMS, "batch_size": 16, "prediction": "v"}},
        {"stage": "sample", "params": {"sampler": "ddpm", "guidance_scale": 2.0, "guidance_min_log_snr": -3.0}},
    ]
    return Run.load(locate, records, Duration("cpu"))


def test_four_real_runs_get_fitting_verdicts() -> None:
    verdicts = {
        name: summarise_sections(load_snapshot(name)) for name in ("good", "undertrained", "collapsed", "copying")
    }
    assert verdicts["good"] == {
        "Sample quality": (
            "recognisable, not yet realistic, with a precision of only 47\u00a0%, and less varied, "
            "with less varied colours"
        ),
        "Style": (
            "colour drift, few dark images, slightly low contrast, slightly low saturation and slightly low sharpness"
        ),
        "Memorisation": NONE_FOUND,
        "Training": "the loss fell steeply and was still falling",
        "Challenges": "still learning, low precision, low recall, colour drift and few dark images",
    }
    assert verdicts["undertrained"] == {
        "Sample quality": "very far from real faces, and none is in the region of real faces",
        "Style": "slight colour drift, few dark images, low saturation and low sharpness",
        "Memorisation": NONE_FOUND,
        "Training": "the loss fell by more than half",
        "Challenges": "too little training, low precision, few dark images, low sharpness and low saturation",
    }
    assert verdicts["collapsed"] == verdicts["good"] | {
        "Sample quality": "repeats of only 8 images",
        "Style": "colour drift, few dark images, slightly low contrast and slightly low saturation",
        "Challenges": "still learning, mode collapse, colour drift and few dark images",
    }
    assert verdicts["copying"] == verdicts["good"] | {
        "Sample quality": "at the level of real faces, and as varied, but many are suspected copies",
        "Style": "matches the data set",
        "Memorisation": "100\u00a0% of the samples are suspected copies of training faces",
        "Challenges": "still learning and memorisation",
    }


def test_a_good_run_gets_good_verdicts() -> None:
    assert summarise_sections(GOOD_RUN) == {
        "Sample quality": "at the level of real faces, and as varied",
        "Style": "matches the data set",
        "Memorisation": NONE_FOUND,
        "Training": "the loss fell steeply",
        "Challenges": "none that the numbers show",
    }
    text = read_paragraphs(GOOD_RUN)
    assert "is 4 (95 % interval 3.8 to 4.2)" in text
    assert "The excess over the floor is 1.9 % of the feature variance of real faces" in text
    assert "fell from 1 (mean of steps 1 to 100) to 0.101 (mean of the last 400 steps)" in text
    assert "That is 256,000 images" in text and "5.69 epochs" in text
    assert "no higher than real faces do by chance" in text


def test_dropped_images_are_counted_without_repeated_ones() -> None:
    counts: dict[str, Any] = {"files": 113, "left_out": 103, "pictures": 10, "pictures_kept": 6, "pictures_repeated": 1}
    counts |= {"pictures_dropped": 3, "kept": 12, "detected": 9, "whole": 3, "dropped": {"too small": 3, "copy": 30}}
    text = read_paragraphs(replace(GOOD_RUN, faces={**GOOD_RUN.faces, **counts}))
    assert text.count("Of 10 images, 3 (30 %) gave no face.") == 1
    few = read_paragraphs(replace(GOOD_RUN, faces={**GOOD_RUN.faces, "pictures_dropped": 500}))
    assert "Many images dropped" not in few and "Of 50,000 images, 500 (1.0 %) gave no face." in few
    assert "gave no face" not in read_paragraphs(GOOD_RUN)


def test_an_undertrained_run_is_advised_to_train_longer() -> None:
    verdicts = summarise_sections(UNDERTRAINED_RUN)
    assert verdicts["Training"] == "the loss fell little and was still falling"
    assert verdicts["Sample quality"].startswith("very far from real faces")
    assert verdicts["Style"] == "colour drift and low sharpness"
    assert verdicts["Challenges"] == "too little training, still learning, colour drift and low sharpness"
    text = read_paragraphs(UNDERTRAINED_RUN)
    assert "undertrained" in text and "More steps may help" in text
    assert "+25.2 in red" in text
    assert "25 times as much" in text


def test_an_overfitting_run_is_suspected_of_copies() -> None:
    assert summarise_sections(OVERFITTING_RUN)["Challenges"] == (
        "many images dropped, small training set and strong overfitting"
    )
    text = read_paragraphs(OVERFITTING_RUN)
    assert "52 % higher" in text
    assert "At a log-SNR of +0.0 held-out faces have the largest excess, 150 %." in text
    assert "largest excess" not in read_paragraphs(GOOD_RUN)
    assert "compare the samples with its training faces" in text
    rows = [[cell.text for cell in row] for row in tables.tabulate_dropped(OVERFITTING_RUN).rows]
    assert rows == [["duplicate", "90", "10\u00a0%"], ["too small", "10", "1.1\u00a0%"]]


def test_a_tiny_run_gets_no_verdict() -> None:
    text = read_paragraphs(TINY_RUN)
    assert summarise_sections(TINY_RUN)["Sample quality"].endswith("on too few samples to tell")
    assert "16 samples are too few to compare runs: both the distance and its floor (3.6) are biased" in text
    assert "n = 16" in summarise_run(TINY_RUN)
    assert "KID, an unbiased estimate" in text and "which is close to zero" in text
    assert "The training loss was 1 (mean of steps 1 to 2). A single value shows no trend." in text


def test_the_means_of_the_loss_name_their_steps() -> None:
    losses = [LossRow(10, 0.5), LossRow(20, 0.75), LossRow(25, 1.0)]
    assert "rose from 0.5 (mean of steps 1 to 10) to 1 (mean of the last 5 steps)" in read_paragraphs(
        replace(GOOD_RUN, losses=losses)
    )
    losses = [LossRow(1, 1.0), *(LossRow(step, 0.5) for step in range(2, 20)), LossRow(20, 0.25), LossRow(23, 0.1)]
    text = read_paragraphs(replace(GOOD_RUN, losses=losses))
    # 21 rows: the last two are the means of one step and of three.
    assert "fell from 1 (step 1) to 0.138 (mean of the last 4 steps)" in text


@pytest.mark.parametrize(
    ("prediction", "log_snr", "words"),
    [
        ("v", 5.0, "low noise, where the target is nearly the noise"),
        ("eps", 5.0, "low noise, where the target is the noise"),
        ("x0", 5.0, "low noise, where the image is nearly clean."),
        ("v", -5.0, "almost nothing of the image is left"),
        ("x0", -5.0, "almost nothing of the image is left"),
        ("eps", -5.0, "the input is nearly the noise to predict"),
        ("v", 0.0, "medium noise"),
    ],
)
def test_the_largest_error_is_explained_by_the_prediction(prediction: str, log_snr: float, words: str) -> None:
    levels = [NoiseLevel(log_snr, 0.9, 0.9), NoiseLevel(1.0, 0.1, 0.1)]
    assert words in read_paragraphs(replace(GOOD_RUN, prediction=prediction, levels=levels))


def test_zero_has_no_minus_sign() -> None:
    text = read_paragraphs(replace(GOOD_RUN, levels=[NoiseLevel(-0.04, 0.1, 0.1), NoiseLevel(4.0, 0.2, 0.2)]))
    assert "+0.0" in text and "−0.0" not in text


def test_every_sentence_is_short() -> None:
    runs = [GOOD_RUN, TINY_RUN, UNDERTRAINED_RUN, OVERFITTING_RUN, with_progress(90, 50, 60)]
    runs += [load_snapshot(name) for name in ("good", "undertrained", "collapsed", "copying")]
    texts = [*map(read_paragraphs, runs), *map(summarise_run, runs), *(caption.text for caption in CAPTIONS.values())]
    for sentence in (sentence for text in texts for sentence in re.split(r"(?<=[.:;]) ", text)):
        assert len(sentence.split()) <= 38, sentence


def test_durations_are_given_if_known_and_only_for_this_run() -> None:
    assert (
        "The training took 5 min 21 s on cpu (AVX512). All stages before this report took 2 h 5 min together."
        in read_paragraphs(GOOD_RUN)
    )
    partly = read_paragraphs(replace(GOOD_RUN, duration=Duration("cpu", training=8.04)))
    assert "The training took 8.0 s on cpu." in partly and "All stages" not in partly
    assert "training took" not in read_paragraphs(replace(GOOD_RUN, duration=Duration("cpu", total=9.0)))
