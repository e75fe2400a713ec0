"""Collect the problems of a run.

These are dropped images, a small training set, overfitting, and the problems that other sections of the report found.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from omokage.report.run import Run
from omokage.report.training_loss import compute_generalisation_gap
from omokage.report.verdict import Verdict, find_band
from omokage.report.wording import format_count, format_percent, format_signed, join_words

# With fewer training faces, diffusion models of this kind tend to memorise them.
SMALL_TRAINING_SET = 5000


def judge_problems(run: Run, verdicts: Iterable[Verdict]) -> Verdict:
    """Judge the number of dropped images, the size of the training set and the overfitting.

    The verdict also lists the problems of `verdicts`, the verdicts of the other sections.
    """
    problems: list[str] = []
    faces, paragraphs = run.faces, [_describe_curation(run.faces)]
    if faces["pictures_dropped"] > faces["pictures"] / 10:
        problems.append("many images dropped")
    if faces["train"] < SMALL_TRAINING_SET:
        problems.append("small training set")
        paragraphs.append(
            f"A training set of {format_count(faces['train'], 'face')} is small. Models of this kind vary freely with "
            "tens of thousands of training faces; with fewer they can memorise them."
        )
    overfitting, explanation = _judge_overfitting(run)
    paragraphs.append(explanation)
    problems += [overfitting] if overfitting else []
    described_above = [problem for verdict in verdicts for problem in verdict.problems]
    if described_above:
        paragraphs.append(f"Problems described above: {join_words(described_above)}.")
    problems += described_above
    return Verdict(join_words(problems) if problems else "none that the numbers show", paragraphs)


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
            (0.4, "overfitting", "This is clear overfitting: more images, dropout or fewer steps would help"),
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
