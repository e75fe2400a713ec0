"""Verdicts: assessments of a run in words, chosen by limits on the scores; and problems of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Words = TypeVar("Words")


@dataclass(frozen=True)
class Verdict:
    """An assessment of a run: a few words for the summary, paragraphs with the reasons, and the names of problems.

    The names are those of the catalogue in report/challenges.py, which describes each problem.
    """

    short: str
    paragraphs: list[str]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A problem of a run, described for the section "Challenges".

    `evidence`, `cause` and `remedy` are sentences: the numbers that show the problem, why it is likely there, and what
    to change. `parameters` are the names in params.yaml that the remedy mentions, and `figure` is the name in CAPTIONS
    of a figure that shows the problem. `is_measured` says whether numbers of this run support the cause. If not, it is
    only called possible.
    """

    evidence: str
    cause: str
    remedy: str
    parameters: tuple[str, ...]
    figure: str
    is_measured: bool = False


def find_band(value: float, bands: Sequence[tuple[float, Words]], above: Words) -> Words:
    """Return the words of the first band, (limit, words), with value <= limit, or `above` if there is none."""
    return next((words for limit, words in bands if value <= limit), above)
