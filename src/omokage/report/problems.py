"""Write the section "Challenges": the problems of a run, each with its evidence, likely cause and remedy.

Some are found here: dropped images, a small training set, overfitting, the trend of the loss, and too few samples. The
verdicts of the other sections name the rest. The catalogue in report/challenges.py describes all of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from omokage.report.captions import CAPTIONS
from omokage.report.challenges import CATALOGUE, describe_problem
from omokage.report.run import Run
from omokage.report.training_loss import compute_generalisation_gap, compute_loss_fall
from omokage.report.verdict import Verdict, find_band
from omokage.report.wording import format_count, format_percent, format_signed, join_words

# With fewer training faces, diffusion models of this kind tend to memorise them.
SMALL_TRAINING_SET = 5000
MAX_DROPPED = 0.1  # share of the images
MIN_SAMPLES = 200  # with fewer, no score is conclusive
NOTABLE_TREND = 0.03  # relative change of the loss over the last tenth of the training


def judge_problems(run: Run, verdicts: Iterable[Verdict]) -> Verdict:
    """Describe all problems of a run: those found here, and those that `verdicts`, the other sections, name."""
    overfitting, explanation = _judge_overfitting(run)
    found = {*_find_problems(run), overfitting, *(name for verdict in verdicts for name in verdict.problems)}
    names = sorted(found - {""}, key=list(CATALOGUE).index)
    described = [_describe(name, run) for name in names]
    if not names:
        described = [
            "No problem was found. Checked were the images dropped, the sizes of the training set and of the samples, "
            "overfitting and the trend of the loss. Also checked were copies, variety, colours, contrast, saturation "
            "and sharpness of the samples."
        ]
    return Verdict(
        join_words(names) if names else "none that the numbers show",
        [*described, _describe_curation(run.faces), explanation],
        tuple(names),
    )


def _find_problems(run: Run) -> list[str]:
    fall = compute_loss_fall(run) or 0.0
    found = {
        "many images dropped": run.faces["pictures_dropped"] > MAX_DROPPED * run.faces["pictures"],
        "small training set": run.faces["train"] < SMALL_TRAINING_SET,
        "still learning": fall > NOTABLE_TREND,
        "rising loss": fall < -NOTABLE_TREND,
        "too few samples": run.metrics["n"] < MIN_SAMPLES,
    }
    return [name for name, is_found in found.items() if is_found]


def _describe(name: str, run: Run) -> str:
    problem = describe_problem(name, run)
    section = CAPTIONS[problem.figure].section
    return (
        f"{name[0].upper()}{name[1:]}: {problem.evidence} Likely cause: {problem.cause} What to change: "
        f"{problem.remedy} See the figure {problem.figure} in the section {section}."
    )


def _describe_curation(faces: Mapping[str, Any]) -> str:
    """Return sentences on how many images were used, and how many faces came from them; `faces` are the counts."""
    images = faces["pictures"]
    total, dropped, repeated = format_count(images, "image"), faces["pictures_dropped"], faces["pictures_repeated"]
    sentences = [] if dropped or repeated else [f"None of the {total} was dropped"]
    if dropped:
        sentences.append(f"Of {total}, {dropped:,} ({format_percent(dropped / images)}) were dropped")
    if repeated:
        share = format_percent(repeated / images)
        sentences.append(f"Of {total}, {repeated:,} ({share}) only repeat faces of other images and were dropped")
    if faces["left_out"]:
        sentences.append(f"The source has {format_count(faces['left_out'], 'further file')} that could not be used")
    sentences.append(
        f"Training set and held-out set have {format_count(faces['kept'], 'face')}: {faces['detected']:,} cropped from "
        f"larger images, and {faces['whole']:,} images used whole"
    )
    return ". ".join(sentences) + "."


def _judge_overfitting(run: Run) -> tuple[str, str]:
    """Judge whether the model overfits. Return a label of the problem ("" if there is none), and an explanation."""
    gap = compute_generalisation_gap(run)
    widest = max(run.levels, key=lambda level: level.held_out / level.train)
    problem, explanation = find_band(
        gap,
        (
            (0.05, "", "There is no sign of overfitting"),
            (0.15, "", "A slight gap like this is normal"),
            (0.4, "overfitting", "This is clear overfitting"),
        ),
        (
            "strong overfitting",
            "This is strong overfitting: the model has memorised training faces, and samples may be near copies",
        ),
    )
    relation = f"{format_percent(abs(gap))} {'higher' if gap >= 0 else 'lower'}"
    return problem, (
        f"The error on held-out faces is {relation} than on training faces. {explanation}. The gap is widest at a "
        f"log-SNR of {format_signed(widest.log_snr)}, at {format_percent(widest.held_out / widest.train - 1)}."
    )
