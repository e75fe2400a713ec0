"""The report's verdicts: different numbers get different words, and every sentence is short."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.report_fixtures import GOOD_RUN, IDENTICAL_STYLE, NO_COPIES, TINY_RUN, VARIED, with_metrics

from omokage.report import tables
from omokage.report.assessment import judge_run, summarise_run
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

# Scores that were added after the snapshots were saved. The variance is that of the default avatars, n = 500.
NEWER_SCORES = {**VARIED, "feature_variance": 85.0, "face_rate": 0.02, "face_rate_floor": 0.03}
EIGHT_IMAGES = {"distinct": 8, "identical": 0.984, "near_identical": 1.0}


NONE_FOUND = "no copies found by the searches in pixels, shifts, mirrors and features"


def summarise_sections(run: Run) -> dict[str, str]:
    return {heading: verdict.short for heading, verdict in judge_run(run).items()}


def read_paragraphs(run: Run) -> str:
    paragraphs = " ".join(paragraph for verdict in judge_run(run).values() for paragraph in verdict.paragraphs)
    return paragraphs.replace("\u00a0", " ")


def load_snapshot(name: str) -> Run:
    """Return a run whose outputs were saved by support/snapshots/make.py."""

    def locate(path: str) -> Path:
        file = SNAPSHOTS / name / Path(path).name
        return file if file.exists() else SNAPSHOTS / "good" / file.name

    records = [
        {"stage": "train", "params": {"batch_size": 32, "prediction": "v"}},
        {"stage": "sample", "params": {"guidance_scale": 1.0}},
    ]
    run = Run.load(locate, records, Duration("cpu"))
    return replace(run, metrics={**NEWER_SCORES, **(EIGHT_IMAGES if name == "collapsed" else {}), **run.metrics})


def with_progress(*distances: float) -> Run:
    """Return the good run with a progress table of one row per thousand steps."""
    rows = [
        {"step": str(1000 * number), "pictures": "9", "distance": str(distance), "kid": "0.1", "n": "64"}
        for number, distance in enumerate(distances, 1)
    ]
    return replace(GOOD_RUN, progress=rows)


def test_four_real_runs_get_fitting_verdicts() -> None:
    verdicts = {
        name: summarise_sections(load_snapshot(name)) for name in ("good", "undertrained", "collapsed", "copying")
    }
    assert verdicts["good"] == {
        "Sample quality": "close to real faces, and nearly as varied",
        "Style": "slight colour drift, slightly low contrast and slightly low sharpness",
        "Memorisation": "2 suspected copies, which can be chance",
        "Training": "the loss fell steeply and was still falling",
        "Challenges": "still learning",
    }
    assert verdicts["undertrained"] == {
        "Sample quality": "very far from real faces, and none looks real",
        "Style": "colour drift, slightly low contrast, low saturation and low sharpness",
        "Memorisation": NONE_FOUND,
        "Training": "the loss fell by more than half",
        "Challenges": "too little training, colour drift, low sharpness and low saturation",
    }
    assert verdicts["collapsed"] == verdicts["good"] | {
        "Sample quality": "repeats of only 8 images",
        "Style": "colour drift, slightly high contrast and low sharpness",
        "Memorisation": NONE_FOUND,
        "Challenges": "still learning, mode collapse, colour drift and low sharpness",
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
    assert "no sign of overfitting" in text
    assert "no higher than real faces do by chance" in text


def test_dropped_images_repeated_images_and_other_files_are_counted_apart() -> None:
    counts: dict[str, Any] = {"files": 113, "left_out": 103, "pictures": 10, "pictures_kept": 6, "pictures_repeated": 1}
    counts |= {"pictures_dropped": 3, "kept": 12, "detected": 9, "whole": 3, "dropped": {"too small": 3, "copy": 30}}
    text = read_paragraphs(replace(GOOD_RUN, faces={**GOOD_RUN.faces, **counts}))
    assert "Of 10 images, 1 (10 %) only repeat faces of other images" in text
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
    assert "undertrained" in text and "more steps would likely help" in text
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


@pytest.mark.parametrize(
    ("close", "n", "is_problem"),
    [(0.02, 500, False), (0.05, 500, True), (0.05, 40, False), (0.0102, 50_000, False), (0.02, 50_000, True)],
)
def test_the_limit_for_close_samples_depends_on_the_number_of_samples(close: float, n: int, is_problem: bool) -> None:
    verdict = judge_run(with_metrics(close=close, n=n))["Memorisation"]
    assert verdict.short == ("more samples are close to a training face than by chance" if is_problem else NONE_FOUND)
    assert verdict.problems == (("samples close to training faces",) if is_problem else ())


def with_copies(floor: float = 0.0, **shares: float) -> Run:
    """Return the good run with 500 samples, of which these shares are suspects, and as held-out faces the floor."""
    floors = {**NO_COPIES, "near": floor}
    copies = {**NO_COPIES, **shares}
    return with_metrics(
        n=500, n_reference=500, copies=copies, copied=sum(shares.values()), copies_floor=floors, copied_floor=floor
    )


@pytest.mark.parametrize(
    ("run", "short", "problems"),
    [
        (with_copies(exact=0.01), "500 samples with 5 copies of training faces", ("copies of training faces",)),
        (
            with_copies(mirrored=0.002),
            "500 samples with 1 suspected copy of training faces",
            ("copies of training faces",),
        ),
        (with_copies(shifted=1.0), "100 % of the samples are suspected copies", ("memorisation",)),
        (with_copies(features=0.3), "30 % of the samples are suspected copies", ("memorisation",)),
        (with_copies(floor=0.02, near=0.02), "10 suspected copies, no more than among held-out faces", ()),
        (with_copies(floor=0.9, near=0.9), "450 suspected copies, no more than among held-out faces", ()),
        (with_copies(floor=0.02, near=0.1), "500 samples with 50 suspected copies", ("copies of training faces",)),
        (with_copies(floor=0.002, relative=0.05), "more samples are close", ("samples close to training faces",)),
    ],
)
def test_copies_are_named_unless_held_out_faces_have_as_many(run: Run, short: str, problems: tuple[str, ...]) -> None:
    verdict = judge_run(run)["Memorisation"]
    assert verdict.short.startswith(short) and verdict.problems == problems
    assert "new faces" not in read_paragraphs(run)
    if problems:
        assert problems[0] in summarise_run(run)
    assert ("this much alike" in read_paragraphs(run)) == ("no more than" in short)


def test_without_suspects_the_searches_are_named() -> None:
    text = read_paragraphs(GOOD_RUN)
    assert "None found by these searches" in text and "shifted and mirrored" in text
    assert "compared with all 45,000 training faces" in text and "compared with 500 training faces" in text


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"recall": 0.7}, "and nearly as varied"),
        ({"recall": 0.5}, "and less varied"),
        ({"recall": 0.1}, "and much less varied"),
        ({"recall": 0.1, "coverage": 0.1}, "and collapsed to a few images"),
        ({"recall": 0.1, "coverage": 0.1, "precision": 0.2}, "and few look real"),
    ],
)
def test_variety_is_judged_separately_from_fidelity(changes: dict[str, Any], verdict: str) -> None:
    quality = summarise_sections(with_metrics(**changes))["Sample quality"]
    assert quality == f"at the level of real faces, {verdict}"


def test_the_score_during_training_is_described_if_it_was_computed() -> None:
    falling, varying = read_paragraphs(with_progress(90, 50, 40)), read_paragraphs(with_progress(90, 50, 60))
    assert "fell from 90 at step 1,000 to 40 at step 3,000, its lowest value" in falling
    assert "fell from 90 at step 1,000 to 60 at step 3,000, and was lowest with 50 at step 2,000" in varying
    assert "rose from 90 at step 1,000 to 95 at step 2,000. These" in read_paragraphs(with_progress(90, 95))
    assert "The distance was 90 at step 1,000. These" in read_paragraphs(with_progress(90))
    assert "During training" in falling and "During training" not in read_paragraphs(GOOD_RUN)


def test_a_tiny_run_gets_no_verdict() -> None:
    text = read_paragraphs(TINY_RUN)
    assert summarise_sections(TINY_RUN)["Sample quality"].endswith("on too few samples to tell")
    assert "16 samples are too few to compare runs: both the distance and its floor (3.6) are biased" in text
    assert "n = 16" in summarise_run(TINY_RUN)
    assert "KID, an unbiased estimate" in text and "which is close to zero" in text
    assert "The training loss was 1 (mean of steps 1 to 2). A single value shows no trend." in text


def test_few_samples_far_from_real_faces_are_called_worse() -> None:
    scores: dict[str, Any] = {
        "distance": 330.0,
        "distance_high": 333.0,
        "distance_floor": 45.0,
        "feature_variance": 85.0,
        "n": 64,
    }
    far, unclear = with_metrics(distance_low=326.0, **scores), with_metrics(distance_low=89.0, **scores)
    assert "too few samples to tell" not in summarise_run(far)
    text = read_paragraphs(far)
    assert "The excess over the floor is 3.4 times the feature variance" in text
    assert "The interval lies far above the floor, so the samples are clearly worse than real faces." in text
    assert "on too few samples to tell" in summarise_run(unclear) and "clearly worse" not in read_paragraphs(unclear)


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


def test_the_copy_ratio_is_rounded_once() -> None:
    rows = {row[0].text: row[1].text for row in tables.tabulate_scores(with_metrics(copy_ratio=0.95449)).rows}
    assert rows["copy ratio"] == "0.954"


@pytest.mark.parametrize(("distance", "verdict"), [(5.0, "close"), (10.0, "recognisable"), (20.0, "far from")])
def test_fidelity_depends_on_the_ratio_to_the_floor(distance: float, verdict: str) -> None:
    assert summarise_sections(with_metrics(distance=distance))["Sample quality"].startswith(verdict)


def test_only_inception_features_give_an_fid() -> None:
    assert "FID" not in read_paragraphs(GOOD_RUN)
    assert "The FID of the samples" in read_paragraphs(with_metrics(score="FID", extractor="inception"))


def test_kid_is_not_divided_by_a_floor_close_to_zero() -> None:
    assert "10 times as much" in read_paragraphs(with_metrics(kid=0.02, kid_floor=0.002))
    for floor in (0.0001, -0.0001):
        assert "which is close to zero" in read_paragraphs(with_metrics(kid=0.02, kid_floor=floor))


@pytest.mark.parametrize(
    ("rate", "floor", "words"),
    [
        (0.945, 0.95, "as often as real faces are"),
        (0.8, 0.95, "less often than real faces"),
        (0.1, 0.95, "Most samples have no face"),
        (0.02, 0.03, "this score says little here"),
    ],
)
def test_the_face_rate_is_compared_with_that_of_real_faces(rate: float, floor: float, words: str) -> None:
    text = read_paragraphs(with_metrics(face_rate=rate, face_rate_floor=floor))
    assert words in text and "Face rate: the face detector finds a face in" in text


def test_the_distance_to_the_training_set_is_told_apart_and_named_after_its_features() -> None:
    assert "against the training set" not in read_paragraphs(GOOD_RUN)
    for score, name in (
        ("FID", "FID against the training set, as papers publish it"),
        ("Fréchet distance (x)", "Fréchet distance (x) against the training set"),
    ):
        run = with_metrics(score=score, distance_train=3.5, distance_train_floor=3.6)
        assert f"The {name}" in read_paragraphs(run) and "rewards copies" in read_paragraphs(run)
        rows = {row[0].text: row for row in tables.tabulate_scores(run).rows}
        assert (rows[name][1].text, rows[name][3].text) == ("3.5", "3.6")
    assert len(tables.tabulate_scores(GOOD_RUN).rows) == len(rows) - 1


@pytest.mark.parametrize(
    ("changes", "verdict", "problems"),
    [
        ({"distinct": 1, "identical": 0.9998, "near_identical": 1.0}, "all the same image", "mode collapse"),
        ({"distinct": 9, "identical": 0.9982, "near_identical": 1.0}, "repeats of only 9 images", "mode collapse"),
        ({"near_identical": 0.97}, "nearly all alike", "mode collapse"),
        ({"near_identical": 0.6}, "mostly alike", "mode collapse"),
        (
            {"distinct": 1, "identical": 0.9998, "uniform": 1.0},
            "all the same image of a single colour, without faces",
            "uniform samples",
        ),
        ({"uniform": 0.7}, "mostly images of a single colour, without faces", "uniform samples"),
        (
            {"uniform": 0.05, "identical": 0.049},
            "at the level of real faces, and as varied, 5.0 % of them of a single colour",
            "uniform samples",
        ),
        (
            {"identical": 0.1, "near_identical": 0.3},
            "at the level of real faces, and as varied, 10 % of them repeated",
            "repeated samples",
        ),
        ({"identical": 0.01, "near_identical": 0.05}, "at the level of real faces, and as varied", ""),
    ],
)
def test_repeated_and_uniform_samples_are_named_whatever_the_other_scores_are(
    changes: dict[str, Any], verdict: str, problems: str
) -> None:
    sections = summarise_sections(with_metrics(**changes))
    assert sections["Sample quality"].replace("\u00a0", " ") == verdict
    assert sections["Challenges"] == (problems or "none that the numbers show")


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
