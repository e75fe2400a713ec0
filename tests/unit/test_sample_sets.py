"""The report's words for samples of models that fail in a known way, from features of real avatars."""

import pytest
from support.report_fixtures import with_metrics
from support.sample_sets import score_avatars

from omokage.report.quality import judge_quality

pytestmark = [pytest.mark.usefixtures("use_one_thread"), pytest.mark.long]

N = 100  # as in docs/guides/scores.md
WORDS = {
    "unseen faces (a perfect model)": "at the level of real faces, and as varied",
    "the training faces (a model that copies)": "at the level of real faces, and as varied",
    "one face": "all the same image",
    "five faces": "repeats of only 5 images",
    "black": "all the same image of a single colour, without faces",
    "grey": "all the same image of a single colour, without faces",
    "a colour per sample": "images of a single colour, without faces",
    "Gaussian noise": "very far from real faces, and none looks real",
    "faces with shuffled pixels": "very far from real faces, and none looks real",
    "strongly blurred faces": "very far from real faces, and none looks real",
    "faces with 40 more red": "at the level of real faces, and nearly as varied",
    "half faces, half noise": "far from real faces, only 43 % of them look real, and as varied",
    "faces with one background": "at the level of real faces, and as varied, with less varied colours",
    "the mean face with small noise": "nearly all alike",
    "faces with 30 % of the contrast": (
        "recognisable, not yet realistic, only 61 % of them look real, and much less varied, with less varied colours"
    ),
    "faces, a fifth of them repeated": "at the level of real faces, and nearly as varied, 20 % of them repeated",
    "faces, a fifth of them black": (
        "recognisable, not yet realistic, and nearly as varied, 20 % of them of a single colour"
    ),
}


def test_the_report_names_what_is_wrong_with_a_sample_set() -> None:
    verdicts = {name: judge_quality(with_metrics(**scores)) for name, scores in score_avatars(N).items()}
    words = {name: verdict.short.replace("\u00a0", " ") for name, verdict in verdicts.items()}
    assert {name: short.removesuffix(", on too few samples to tell") for name, short in words.items()} == WORDS
    # What repeats or has one colour is certain, however few samples there are.
    # So is a distance far above the floor.
    assert all(words[name] == WORDS[name] for name in ("one face", "Gaussian noise"))
    assert words["unseen faces (a perfect model)"].endswith(", on too few samples to tell")
    problems = {name for name, verdict in verdicts.items() if verdict.problems}
    repeated = {"one face", "five faces", "the mean face with small noise", "faces, a fifth of them repeated"}
    assert problems == repeated | {"black", "grey", "a colour per sample", "faces, a fifth of them black"}
