"""Search quickly for pairs of pictures that may be copies of each other; `alignment` then verifies each pair."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omokage.data.curation.copy_descriptors import NORM, Descriptors, View, describe_views

# Pairs that pass the coarse search, with few frequencies and the whole pictures, go to the fine one. Both limits come
# from real faces (benchmarks/leak.py): 4 % of the pairs of 10,647 faces pass the first, and of those of different
# faces 5 in a million pass the second.
COARSE_FREQUENCIES, MIN_COARSE_SIMILARITY = 5, 0.89 * NORM**2
FINE_FREQUENCIES, MIN_FINE_SIMILARITY = 8, 0.96 * NORM**2
BLOCK, TILE = 256, 2048  # so many pictures are compared at once with so many others: their products fit into a cache

SHIFT = 0.07  # in half sides: 2.2 of 64 pixels, so that a copy shifted by 3 is less than 1 pixel away from a view
SHIFTS = (0.0, -SHIFT, SHIFT)
VIEWS: list[View] = [(zoom, right, down) for zoom in (1.0, 0.92) for right in SHIFTS for down in SHIFTS]
VIEWS.append((0.84, 0.0, 0.0))


@dataclass(frozen=True)
class Candidates:
    """Pairs of pictures that may be copies, [n] each: the window VIEWS[`view`] of `first` resembles `second`.

    `is_mirrored` says whether it resembles `second` as mirrored from left to right.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    view: NDArray[np.int64]
    is_mirrored: NDArray[np.bool_]

    def select(self, rows: slice | NDArray) -> "Candidates":
        """Return the pairs with the indices `rows`, or those for which the mask `rows` is true."""
        return Candidates(*(values[rows] for values in vars(self).values()))


def find_candidates(previews: NDArray[np.uint8], pool: ThreadPoolExecutor) -> Candidates:
    """Return the candidates among pictures, uint8 [n, 32, 32, 3]; a pair may be there in both orders.

    The picture most similar to each one comes first, for all pictures; then the second most similar ones, and so on.
    The threads of `pool` share the blocks of pictures. Their number does not change the result.
    """
    starts = range(0, len(previews), BLOCK)
    describe = partial(_describe_block, previews)
    coarse, fine = zip(*pool.map(describe, starts), strict=True)
    search = partial(_search_block, previews, Descriptors.concatenate(coarse), Descriptors.concatenate(fine))
    pairs = np.concatenate(list(pool.map(search, starts)))
    first, second, view, is_mirrored, _ = pairs[np.argsort(pairs[:, 4], kind="stable")].T
    return Candidates(first, second, view, is_mirrored.astype(bool))


def _describe_block(previews: NDArray[np.uint8], start: int) -> tuple[Descriptors, Descriptors]:
    """Return the descriptors, [n, values], of BLOCK whole pictures from `start` on: with few frequencies, and more."""
    block = previews[start : start + BLOCK]
    coarse, fine = (describe_views(block, VIEWS[:1], count) for count in (COARSE_FREQUENCIES, FINE_FREQUENCIES))
    return coarse.select((slice(None), 0)), fine.select((slice(None), 0))


def _search_block(previews: NDArray[np.uint8], coarse: Descriptors, fine: Descriptors, start: int) -> NDArray[np.int64]:
    """Return the pairs of BLOCK pictures from `start` on with all others, in rows as of `_compare_views`."""
    views = describe_views(previews[start : start + BLOCK], VIEWS, FINE_FREQUENCIES)
    others = _search_coarsely(coarse, start)
    return np.concatenate(
        [_compare_views(start + index, views.select(index), row, fine) for index, row in enumerate(others)]
    )


def _search_coarsely(coarse: Descriptors, start: int) -> list[Tensor]:
    """Return, for each of the BLOCK pictures from `start` on, the indices of those that pass the coarse search."""
    block = coarse.select(slice(start, start + BLOCK))
    tiles = []
    for first in range(0, len(coarse.even), TILE):
        even, odd = block.multiply(coarse.select(slice(first, first + TILE)))
        is_similar = odd.abs_().add_(even) >= MIN_COARSE_SIMILARITY
        is_similar.diagonal(start - first).fill_(False)  # a picture and itself
        places = torch.from_numpy(np.flatnonzero(is_similar.numpy()))  # much faster than torch's nonzero
        columns = is_similar.shape[1]
        tiles.append(torch.stack([places // columns, places % columns + first], 1))
    pairs = torch.cat(tiles)
    pairs = pairs[pairs[:, 0].argsort(stable=True)]
    return list(pairs[:, 1].split(pairs[:, 0].bincount(minlength=len(block.even)).tolist()))


def _compare_views(first: int, views: Descriptors, others: Tensor, fine: Descriptors) -> NDArray[np.int64]:
    """Return the pairs of one picture with `others` that pass the fine search, most similar ones first.

    A row has the fields of Candidates and the rank of the pair, from 0.
    """
    even, odd = views.multiply(fine.select(others))
    similarities = odd.abs().add_(even)
    similar = (similarities.amax(0) >= MIN_FINE_SIMILARITY).nonzero()[:, 0]  # few of them: the rest is cheap
    similarity, view = similarities[:, similar].max(0)
    order = similarity.argsort(descending=True, stable=True)
    similar, view = similar[order], view[order]
    columns = (torch.full_like(view, first), others[similar], view, odd[view, similar] < 0, torch.arange(len(view)))
    return torch.stack([column.long() for column in columns], 1).numpy()
