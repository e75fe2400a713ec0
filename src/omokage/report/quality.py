"""Judge the quality of the samples: how close they are to real faces, and how varied they are."""

from math import sqrt
from typing import Any

from omokage.report.memorisation import judge_memorisation
from omokage.report.repetition import describe_repetition, judge_collapse
from omokage.report.run import Run
from omokage.report.tables import LOW_FACE_RATE
from omokage.report.training_loss import OVERFITTING, compute_generalisation_gap
from omokage.report.verdict import Verdict, find_band
from omokage.report.wording import format_count, format_number, format_percent, format_ratio

# Below this ratio to real faces, the mean colours of the samples vary too little. Faces with one of five backgrounds
# have 0.80.
FEW_COLOURS = 0.85
# Below these ratios to the values for real faces, precision and recall are low.
LOW_PRECISION, LOW_RECALL = 0.75, 0.7
# If the whole interval of the distance is above this many times the floor, even few samples show a difference.
CLEARLY_ABOVE = 2
MIN_SAMPLES = 200  # with fewer, no score is conclusive


def judge_quality(run: Run) -> Verdict:
    """Judge the scores of the samples relative to the floors: the scores of real faces against other real faces.

    Samples that repeat each other or have a single colour are named as such, whatever their scores.
    """
    metrics = run.metrics
    n = metrics["n"]
    fidelity, paragraphs = _judge_fidelity(metrics)
    variety, explanation, problems = _judge_variety(metrics)
    repetition, counts, repeated = describe_repetition(metrics)
    short = f"{fidelity}, {variety}{repetition}"
    problems += repeated
    if collapse := judge_collapse(metrics):
        short, problems = collapse.short, collapse.problems
        paragraphs = [*collapse.paragraphs, *paragraphs, _describe_kid(metrics)]
    else:
        paragraphs += [_describe_kid(metrics), explanation, counts]
    paragraphs.append(describe_face_rate(metrics))
    if "distance_train" in metrics:
        paragraphs.append(_describe_training_distance(metrics))
    if run.progress:
        paragraphs.append(_describe_progress(run.progress))
    if n < MIN_SAMPLES:
        is_worse = metrics["distance_low"] > CLEARLY_ABOVE * metrics["distance_floor"]
        short += "" if collapse or is_worse else ", on too few samples to tell"
        paragraphs.append(_describe_small_n(metrics, is_worse))
    elif n < 2000:
        paragraphs.append(
            f"With n = {n:,} the distance and its floor are biased upwards. Small differences between runs are chance. "
            "Published scores use 50,000 samples."
        )
    if "memorisation" in judge_memorisation(run).problems:
        short += ", but many are suspected copies"
        paragraphs.append(
            "These scores rate a copy of a training face as highly as any other face. "
            "The section on memorisation says how many copies are suspected."
        )
    elif compute_generalisation_gap(run) > OVERFITTING:
        paragraphs.append(
            "A low distance does not tell copies from other faces. This model overfits, so compare the samples with "
            "its training faces before relying on the scores."
        )
    return Verdict(short, paragraphs, problems)


def _judge_fidelity(metrics: dict[str, Any]) -> tuple[str, list[str]]:
    """Return a few words on how close the samples are to real faces, and the paragraphs that explain them."""
    floor = metrics["distance_floor"]
    # Floor and distance have about the same bias, so their difference depends little on n, unlike their ratio.
    excess = (metrics["distance"] - floor) / max(metrics["feature_variance"], 1e-9)
    short = find_band(
        excess,
        (
            (0.05, "at the level of real faces"),
            (0.2, "close to real faces"),
            (0.5, "recognisable, not yet realistic"),
            (1.7, "far from real faces"),  # noise has 3.7, and faces of which half are replaced by noise 1.5
        ),
        "very far from real faces",
    )
    if 0.2 < excess <= 1.7 and metrics["precision"] >= 0.95 * metrics["precision_floor"]:
        short = "like real faces one by one, but not as a set"
    counts = f"{format_count(metrics['n'], 'sample')} and {format_count(metrics['n_reference'], 'real face')}"
    return short, [
        f"The {metrics['score']} of the samples is {_format_with_interval(metrics, 'distance')}. "
        f"Between two sets of real faces it is {format_number(floor)}. No model can be expected to beat this "
        "real-vs-real baseline, called floor below.",
        _describe_excess(excess),
        f"The distance compares features of {metrics['extractor']} over {counts} (images resized: "
        f"{metrics['resize']}; seed {metrics['seed']}). Do not compare it with a distance from other features or "
        "with another n.",
    ]


def _describe_excess(excess: float) -> str:
    """Return a sentence on the distance above the floor, `excess`, in units of the feature variance of real faces."""
    if excess <= 0:
        return "The distance is not above the floor."
    size, one = (
        (f"{format_ratio(excess)} the", "1") if excess >= 1 else (f"{format_percent(excess)} of the", "100\u00a0%")
    )
    return (
        f"The excess over the floor is {size} feature variance of real faces; identical samples at the mean of real "
        f"faces would have about {one}."
    )


def _describe_small_n(metrics: dict[str, Any], is_worse: bool) -> str:
    text = (
        f"{format_count(metrics['n'], 'sample')} are too few to compare runs: both the distance and its floor "
        f"({format_number(metrics['distance_floor'])}) are biased upwards."
    )
    if not is_worse:
        return text
    return f"{text} The interval lies far above the floor, so the samples are clearly worse than real faces."


def _describe_kid(metrics: dict[str, Any]) -> str:
    kid, floor = metrics["kid"], metrics["kid_floor"]
    text = f"KID, an unbiased estimate, is {_format_with_interval(metrics, 'kid')}. Its floor is {format_number(floor)}"
    if kid <= max(floor, 0.0):
        return f"{text}: the samples score no higher than real faces do by chance."
    if floor <= kid / 50:  # the floor is so close to zero that the ratio would be chance
        return f"{text}, which is close to zero, and the samples lie above it."
    return f"{text}; the samples score {format_ratio(kid / floor)} as much."


def _format_with_interval(metrics: dict[str, Any], key: str) -> str:
    low, high = (format_number(metrics[f"{key}_{end}"]) for end in ("low", "high"))
    return f"{format_number(metrics[key])} ({format_percent(0.95)} interval {low} to {high})"


def _judge_variety(metrics: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """Return a few words on how varied the samples are, the sentences that explain them, and the names of problems."""
    share = {key: metrics[key] / max(metrics[f"{key}_floor"], 1e-9) for key in ("precision", "recall", "coverage")}
    percent = {key: format_percent(metrics[key]) for key in (*share, *(f"{key}_floor" for key in share))}
    numbers = (
        f"Precision: {percent['precision']} of the samples lie in the feature region of real faces (real faces: "
        f"{percent['precision_floor']}). Recall: {percent['recall']} of the real faces lie in that of the samples "
        f"(real faces: {percent['recall_floor']}). The region of a set reaches as far around each image as its "
        "third-nearest image of the set."
    )
    if share["precision"] < 0.4:
        return (
            f"and {'few are' if metrics['precision'] else 'none is'} in the region of real faces",
            f"{numbers} Since so few samples lie there, their variety cannot be judged.",
            ("low precision",),
        )
    if share["recall"] < 0.3 and share["coverage"] < 0.5:
        return (
            "and collapsed to a few images",
            f"{numbers} Coverage: {percent['coverage']} of the real faces have a sample close to them "
            f"(real faces: {percent['coverage_floor']}). So the samples show few kinds of face: this is mode collapse.",
            ("mode collapse",),
        )
    short = find_band(
        -share["recall"],
        (
            # Two sets of real faces differ by chance, the more the smaller they are.
            (1 / sqrt(metrics["n"]) - 0.9, "and as varied"),
            (-LOW_RECALL, "and nearly as varied"),
            (-0.4, "and less varied"),
        ),
        "and much less varied",
    )
    if metrics["colour_variety"] < FEW_COLOURS:
        short += ", with less varied colours"
        numbers += (
            f" The mean colours of the samples vary {format_percent(metrics['colour_variety'])} as much as those of "
            "real faces, which features hardly notice."
        )
    problems: tuple[str, ...] = ()
    if share["precision"] < LOW_PRECISION:
        short, problems = (
            f"with a precision of only {percent['precision']}, {short}",
            ("low precision",),
        )
    if share["recall"] < LOW_RECALL:
        problems += ("low recall",)
    return short, numbers, problems


def describe_face_rate(metrics: dict[str, Any]) -> str:
    """Return sentences on the share of samples in which the face detector finds a face."""
    rate, floor = metrics["face_rate"], metrics["face_rate_floor"]
    text = (
        f"Face rate: the face detector finds a face in {format_percent(rate)} of the samples, and in "
        f"{format_percent(floor)} of as many held-out faces, enlarged in the same way."
    )
    if floor < LOW_FACE_RATE:
        return f"{text} It misses most real faces of this data set, so this score says little here."
    chance = 3 * sqrt(floor * (1 - floor) / metrics["n"]) + 1 / metrics["n"]
    explanation = find_band(
        floor - rate,
        (
            (chance, "Samples are recognised as often as real faces are"),
            (0.4 * floor, "Samples are recognised less often than real faces"),
        ),
        "Most samples have no face that the detector recognises",
    )
    return f"{text} {explanation}."


def _describe_training_distance(metrics: dict[str, Any]) -> str:
    name = metrics["score"]
    published = ", as papers publish it," if name == "FID" else ""
    return (
        f"The {name} against the training set{published} is {format_number(metrics['distance_train'])}. "
        f"For held-out faces it is {format_number(metrics['distance_train_floor'])}. This distance rewards copies: a "
        "model that repeats its training faces scores lower than real faces that it has never seen."
    )


def _describe_progress(progress: list[dict[str, str]]) -> str:
    first, last, best = progress[0], progress[-1], min(progress, key=lambda row: float(row["distance"]))
    if first is last:
        course = f"was {_format_point(last)}"
    else:
        verb = "fell" if float(last["distance"]) < float(first["distance"]) else "rose"
        course = f"{verb} from {_format_point(first)} to {_format_point(last)}"
        if best is last:
            course += ", its lowest value"
        elif best is not first:
            course += f", and was lowest with {_format_point(best)}"
    return (
        f"During training, {format_count(int(last['n']), 'sample')} of each snapshot were scored. The distance "
        f"{course}. These samples are few and generated without guidance: compare these distances only with each "
        "other."
    )


def _format_point(row: dict[str, str]) -> str:
    return f"{format_number(float(row['distance']))} at step {int(row['step']):,}"
