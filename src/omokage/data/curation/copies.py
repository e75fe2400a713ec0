"""Find copies of pictures: rescaled, compressed, shifted, zoomed, cropped, mirrored, with a border or brightened."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from omokage.data.curation import alignment
from omokage.data.curation.copy_candidates import VIEWS, Candidates, find_candidates

BATCH = 2048  # pairs verified before groups are formed again
PART = 256  # pairs verified at once by one thread; this bounds the memory
# The largest local difference of copies (see alignment.Comparison), of 255. Among 10,647 real faces, the lenient one
# finds compressed and redrawn copies, and no different faces. Avatars with the same hair differ in eyes and mouth only,
# by 4.6 or more if that can be seen (benchmarks/leak.py).
TOLERANCES = {"lenient": 30.0, "strict": 4.0}

Pairs = NDArray[np.int64]


def choose_tolerance(copies: str, source: str) -> float:
    """Return the tolerance for the parameters `copies` and `source`; 0 means that only equal pixels are copies."""
    if copies == "auto":
        copies = "strict" if source == "avatars" else "lenient"
    return TOLERANCES.get(copies, 0.0)


def find_copies(previews: NDArray[np.uint8], tolerance: float, threads: int = 1) -> NDArray[np.int64]:
    """Return the group of each picture, int64 [n]: copies, and copies of copies, have the same group.

    `previews` are the pictures, uint8 [n, 32, 32, 3]. `tolerance` is the largest local difference between copies after
    alignment, of 255; with 0 nothing is searched. Whether two pictures are copies depends on these two alone, up to
    rounding (about 1e-4 of 255). So other pictures can join groups but never divide one. The number of `threads` does
    not change the result.
    """
    if not tolerance or not len(previews):
        return np.arange(len(previews))
    copies = np.empty((0, 2), np.int64)
    groups = number_groups(len(previews), copies)
    with ThreadPoolExecutor(threads) as pool:
        candidates = find_candidates(previews, pool)
        for start in range(0, len(candidates.first), BATCH):
            batch = candidates.select(slice(start, start + BATCH))
            batch = batch.select(groups[batch.first] != groups[batch.second])  # the others need no verification
            parts = [batch.select(slice(first, first + PART)) for first in range(0, len(batch.first), PART)]
            found = pool.map(partial(_verify, previews, tolerance), parts)
            copies = np.concatenate([copies, *found])
            groups = number_groups(len(previews), copies)
    return groups


def join_identical(groups: NDArray[np.int64], hashes: Sequence[str]) -> NDArray[np.int64]:
    """Return the groups after joining those of items with the same hash; all arguments have one entry per item."""
    firsts: dict[str, int] = {}
    same = [(firsts.setdefault(sha256, row), row) for row, sha256 in enumerate(hashes)]
    first_groups = dict(zip(groups.tolist(), range(len(groups)), strict=True))
    same += [(first_groups[group], row) for row, group in enumerate(groups.tolist())]
    return number_groups(len(groups), np.array(same, np.int64).reshape(-1, 2))


def number_groups(count: int, pairs: Pairs) -> NDArray[np.int64]:
    """Return the group of each of `count` items, int64 [count], if the items of each pair [m, 2] are in one group."""
    links = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _verify(previews: NDArray[np.uint8], tolerance: float, pairs: Candidates) -> Pairs:
    """Return those of `pairs` that are copies, int64 [m, 2]."""
    first, second = (_load(previews[rows]) for rows in (pairs.first, pairs.second))
    is_mirrored = torch.from_numpy(pairs.is_mirrored)[:, None, None, None]
    second = torch.where(is_mirrored, second.flip(3), second)
    zoom, right, down = torch.tensor(VIEWS)[torch.from_numpy(pairs.view)].unbind(1)
    windows = alignment.align(first, second, torch.stack([zoom, zoom, right, down], 1))
    is_copy = alignment.compare(first, second, windows).find_copies(tolerance).numpy()
    return np.stack([pairs.first, pairs.second], 1)[is_copy]


def _load(previews: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(previews).permute(0, 3, 1, 2).float()
