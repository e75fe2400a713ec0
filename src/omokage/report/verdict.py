"""Verdicts: assessments of a run in words, chosen by limits on the scores."""

from collections.abc import Sequence
from dataclasses import dataclass

# (upper limit of the value, words for the summary, words for the explanation).
Band = tuple[float, str, str]


@dataclass(frozen=True)
class Verdict:
    """An assessment of a run: a few words for the summary, paragraphs with the reasons, and the names of problems."""

    short: str
    paragraphs: list[str]
    problems: tuple[str, ...] = ()


def find_band(value: float, bands: Sequence[Band], above: tuple[str, str]) -> tuple[str, str]:
    """Return the words of the first band with value <= limit, or `above` if the value exceeds all limits.

    The words are a pair: for the summary, and for the explanation.
    """
    return next(((short, explanation) for limit, short, explanation in bands if value <= limit), above)
