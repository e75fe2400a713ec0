"""Compute the distances between all rows of two matrices, one block of rows at a time to save memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_ROWS = 256


def iterate_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of the rows of x [n, d], each with the Euclidean distances of these rows to y [m, d]: [rows, m]."""
    for start in range(0, len(x), BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, len(x)))
        yield rows, torch.cdist(x[rows], y)
