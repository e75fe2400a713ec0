"""A judgement in words, and how a number finds its words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """A judgement in a few words, the paragraphs that give its reasons, and the difficulties it names, if any."""

    short: str
    paragraphs: list[str]
    problems: tuple[str, ...] = ()


def band(value: float, bands: tuple[tuple[float, str, str], ...], beyond: tuple[str, str]) -> tuple[str, str]:
    """Return the words of the first band (limit, short, said) whose limit the value does not exceed, else `beyond`."""
    return next(((short, said) for limit, short, said in bands if value <= limit), beyond)
