"""Judge whether the samples repeat each other or show a single colour. This comes before their quality.

Identical samples can have high precision and density, and scores in features mislead for images without content.
"""

from typing import Any

from omokage.report.verdict import Verdict
from omokage.report.wording import format_count, format_percent, join_words

# If at least this share of the samples is identical, nearly identical or uniform, this is the verdict.
MOST = 0.5
NEARLY_ALL = 0.9
# Smaller shares, with the words for them, are mentioned if they exceed the floor by more than the limit.
MENTIONED = {
    "uniform": (0.02, "of a single colour", "uniform samples"),
    "identical": (0.02, "repeated", "repeated samples"),
    "near_identical": (0.25, "nearly identical to another", "repeated samples"),
}


def judge_collapse(metrics: dict[str, Any]) -> Verdict | None:
    """Return the verdict on samples of which most are identical, nearly identical or uniform; otherwise None."""
    n, distinct = metrics["n"], metrics["distinct"]
    if metrics["uniform"] >= MOST:
        most = "" if metrics["uniform"] >= NEARLY_ALL else "mostly "
        short = "all the same image of a single colour" if distinct == 1 else f"{most}images of a single colour"
        cause = "contain no faces, and scores in features mean nothing for such images"
        return Verdict(f"{short}, without faces", [f"{_describe_shares(metrics)} These {cause}."], ("uniform samples",))
    if metrics["identical"] < MOST and metrics["near_identical"] < MOST:
        return None
    if distinct == 1:
        short = "all the same image"
        cause = f"All {n:,} samples are equal in every pixel"
    elif metrics["identical"] >= MOST:
        short = f"repeats of only {format_count(distinct, 'image')}"
        cause = f"There are only {format_count(distinct, 'different image')} among {format_count(n, 'sample')}"
    else:
        short = "nearly all alike" if metrics["near_identical"] >= NEARLY_ALL else "mostly alike"
        cause = "The model changes a few images only slightly"
    return Verdict(short, [f"{_describe_shares(metrics)} {cause}: this is mode collapse."], ("mode collapse",))


def describe_repetition(metrics: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """Return words, sentences and problems for samples that are varied as a whole.

    The words name a part of the samples that repeats others or is uniform; they are empty if there is no such part.
    """
    words: list[str] = []
    problems: list[str] = []
    for key, (limit, phrase, problem) in MENTIONED.items():
        # Samples of one colour may be identical as well, and identical ones are nearly identical: mention them once.
        mentioned = metrics["uniform"] if key == "identical" and problems else 0
        if metrics[key] > max(metrics[f"{key}_floor"], mentioned) + limit and problem not in problems:
            words.append(f"{format_percent(metrics[key])} of them {phrase}")
            problems.append(problem)
    return f", {join_words(words)}" if words else "", _describe_shares(metrics), tuple(problems)


def _describe_shares(metrics: dict[str, Any]) -> str:
    floor = format_percent(metrics["near_identical_floor"])
    return (
        f"Of {format_count(metrics['n'], 'sample')}, {format_percent(metrics['identical'])} repeat an earlier "
        f"sample, and {format_percent(metrics['near_identical'])} are nearly identical to one (real faces: {floor}). "
        f"{format_percent(metrics['uniform'])} have a single colour."
    )
