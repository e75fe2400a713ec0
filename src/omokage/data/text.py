"""Short words as arrays, since a safetensors file holds nothing else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LENGTH = 32  # bytes


def encode(words: Sequence[str]) -> NDArray[np.uint8]:
    """Return words as uint8 [n, LENGTH]: ASCII, cut off there or padded with zeros."""
    padded = [list(word.encode("ascii", "replace")[:LENGTH].ljust(LENGTH, b"\0")) for word in words]
    return np.array(padded, np.uint8).reshape(-1, LENGTH)


def decode(rows: NDArray[np.uint8]) -> list[str]:
    """Return the words that `encode` was given."""
    return [bytes(row).rstrip(b"\0").decode("ascii") for row in rows]
