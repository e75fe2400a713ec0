"""Encode short texts as arrays, for safetensors files, which hold arrays only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_LENGTH = 32  # bytes


def encode(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Return the texts as ASCII, uint8 [n, MAX_LENGTH].

    Longer texts are cut, and shorter ones padded with zeros. Other characters become question marks.
    """
    padded = [list(text.encode("ascii", "replace")[:MAX_LENGTH].ljust(MAX_LENGTH, b"\0")) for text in texts]
    return np.array(padded, np.uint8).reshape(-1, MAX_LENGTH)


def decode(rows: NDArray[np.uint8]) -> list[str]:
    """Return the texts in an array made by `encode`."""
    return [bytes(row).rstrip(b"\0").decode("ascii") for row in rows]
