"""Find the word that a mistyped word probably stands for."""

import difflib
from collections.abc import Iterable


def find_similar(word: str, known: Iterable[str]) -> str | None:
    """Return the most similar of the `known` words, or None if none is similar."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)), None)
