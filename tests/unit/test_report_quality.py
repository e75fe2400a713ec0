"""The report's words for the quality of the samples: fidelity, variety, and scores with their floors."""

from typing import Any

import pytest
from support.report_fixtures import GOOD_RUN, with_metrics, with_progress
from support.verdicts import read_paragraphs, summarise_sections

from omokage.report import tables
from omokage.report.assessment import summarise_run


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"recall": 0.7}, "and nearly as varied"),
        ({"recall": 0.5}, "and less varied"),
        ({"recall": 0.1}, "and much less varied"),
        ({"recall": 0.1, "coverage": 0.1}, "and collapsed to a few images"),
        ({"recall": 0.1, "coverage": 0.1, "precision": 0.2}, "and few are in the region of real faces"),
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


def test_the_copy_ratio_is_rounded_once() -> None:
    rows = {row[0].text: row[1].text for row in tables.tabulate_scores(with_metrics(copy_ratio=0.95449)).rows}
    assert rows["copy ratio"] == "0.954"
