"""Distances between all of some rows and all of others, without holding them all in memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

ROWS = 256


def distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield, some rows of x [n, d] at a time, which rows and their Euclidean distances to y [m, d]: [rows, m]."""
    for start in range(0, len(x), ROWS):
        rows = slice(start, min(start + ROWS, len(x)))
        yield rows, torch.cdist(x[rows], y)
