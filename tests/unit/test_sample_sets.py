"""The report's words for samples of models that fail in a known way, from features of real avatars."""

import pytest
from support.report_fixtures import with_metrics
from support.sample_sets import score_avatars
from support.verdicts import NONE_FOUND

from omokage.report.memorisation import judge_memorisation
from omokage.report.quality import judge_quality
from omokage.report.style import judge_style

pytestmark = [pytest.mark.usefixtures("use_one_thread"), pytest.mark.long]

# Images of 112 pixels take a quarter of the time of the extractor's 224, for which docs/guides/scores.md has the words.
N, SIDE = 100, 112
# The quality and the style of each sample set.
WORDS = {
    "unseen faces (a perfect model)": (
        "at the level of real faces, and as varied",
        "matches the data set",
    ),
    "the training faces (a model that copies)": (
        "at the level of real faces, and as varied, but many are suspected copies",
        "matches the data set",
    ),
    "one face": (
        "all the same image",
        "colour drift, few dark images, low contrast and slightly high sharpness",
    ),
    "five faces": (
        "repeats of only 5 images",
        "few dark images and slightly high sharpness",
    ),
    "black": (
        "all the same image of a single colour, without faces",
        "colour drift, low contrast, low saturation and low sharpness",
    ),
    "grey": (
        "all the same image of a single colour, without faces",
        "colour drift, low contrast, low saturation and low sharpness",
    ),
    "a colour per sample": (
        "images of a single colour, without faces",
        "colour drift, low contrast, high saturation and low sharpness",
    ),
    "Gaussian noise": (
        "very far from real faces, and none is in the region of real faces",
        "colour drift, low contrast, high saturation and high sharpness",
    ),
    "faces with shuffled pixels": (
        "very far from real faces, and none is in the region of real faces",
        "high sharpness",
    ),
    "strongly blurred faces": (
        "very far from real faces, and few are in the region of real faces",
        "low contrast, slightly low saturation and low sharpness",
    ),
    "faces with 40 more red": (
        "at the level of real faces, and nearly as varied",
        "colour drift and slightly high saturation",
    ),
    "half faces, half noise": (
        "far from real faces, with a precision of only 44 %, and as varied",
        "colour drift, low contrast, high saturation and high sharpness",
    ),
    "faces with one background": (
        "close to real faces, and as varied, with less varied colours",
        "colour drift, slightly high contrast and slightly high saturation",
    ),
    "the mean face with small noise": (
        "nearly all alike",
        "few dark images, low contrast, low saturation and low sharpness",
    ),
    "faces with 30 % of the contrast": (
        "like real faces one by one, but not as a set, and much less varied, with less varied colours",
        "colour drift, low contrast, low saturation and low sharpness",
    ),
    "faces, a fifth of them repeated": (
        "at the level of real faces, and as varied, 20 % of them repeated",
        "matches the data set",
    ),
    "faces, a fifth of them black": (
        "close to real faces, and as varied, 20 % of them of a single colour",
        "colour drift, low contrast, low saturation and slightly low sharpness",
    ),
}
# The words for copies are NONE_FOUND for all other sets.
COPIES = {
    "unseen faces (a perfect model)": "1 suspected copy, which can be chance",
    "the training faces (a model that copies)": "100 % of the samples are suspected copies of training faces",
}


def test_the_report_names_what_is_wrong_with_a_sample_set() -> None:
    runs = {name: with_metrics(**scores) for name, scores in score_avatars(N, SIDE).items()}
    verdicts = {name: judge_quality(run) for name, run in runs.items()}
    words = {name: verdict.short.replace("\u00a0", " ") for name, verdict in verdicts.items()}
    found = {
        name: (words[name].replace(", on too few samples to tell", ""), judge_style(run).short)
        for name, run in runs.items()
    }
    assert found == WORDS
    copies = {name: judge_memorisation(run) for name, run in runs.items()}
    short = {name: verdict.short.replace("\u00a0", " ") for name, verdict in copies.items()}
    assert short == dict.fromkeys(WORDS, NONE_FOUND) | COPIES
    assert {name for name, verdict in copies.items() if verdict.problems} == {
        "the training faces (a model that copies)"
    }
    # What repeats or has one colour is certain, however few samples there are.
    # So is a distance far above the floor.
    assert all(words[name] == WORDS[name][0] for name in ("one face", "Gaussian noise"))
    assert words["unseen faces (a perfect model)"].endswith(", on too few samples to tell")
    problems = {name for name, verdict in verdicts.items() if verdict.problems}
    repeated = {"one face", "five faces", "the mean face with small noise", "faces, a fifth of them repeated"}
    uniform = {"black", "grey", "a colour per sample", "faces, a fifth of them black"}
    outside = {"Gaussian noise", "faces with shuffled pixels", "strongly blurred faces", "half faces, half noise"}
    assert problems == repeated | uniform | outside | {"faces with 30 % of the contrast"}
