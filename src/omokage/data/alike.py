"""Which faces are nearly the same picture: copies that were scaled, compressed, shifted or touched up a little."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from omokage.data.signs import THUMBNAIL, Signs

BITS = 12  # of 64: hashes that differ in more are of different pictures, whatever their colours
BLOCK = 64
SLACK = 1e-3  # more than float32 rounds off a brightness

Pairs = NDArray[np.int64]


def near_duplicates(signs: Signs, tolerance: float, threads: int) -> dict[int, int]:
    """Return for each face that nearly repeats an earlier one the number of that one, which itself repeats none.

    Two are nearly the same if their hashes differ in at most BITS bits and their thumbnails by at most `tolerance`
    (root mean square, of 255). Of those left no two are, so none can be on both sides of a split.
    """
    repeats: dict[int, int] = {}
    for earlier, later in _pairs(signs, tolerance, threads):
        if later not in repeats and earlier not in repeats:
            repeats[int(later)] = int(earlier)
    return repeats


def _pairs(signs: Signs, tolerance: float, threads: int) -> Pairs:
    """Return all pairs (earlier, later), int64 [m, 2], ordered by the later one, then by the earlier."""
    count = len(signs.phash)
    thumbnails = signs.thumbnails.reshape(count, THUMBNAIL**2 * 3)
    # Mean colours are no further apart than thumbnails are: by brightness only neighbours need to be compared.
    means = signs.thumbnails.mean((1, 2), dtype=np.float32)
    brightness = means.mean(1)
    order = np.argsort(brightness, kind="stable")
    brightness, hashes = brightness[order], signs.phash[order]

    def block(start: int) -> Pairs:
        some = slice(start, min(start + BLOCK, count))
        end = int(np.searchsorted(brightness, brightness[some][-1] + tolerance + SLACK, side="right"))
        bits = np.bitwise_count(hashes[some, None] ^ hashes[None, start:end])
        left, right = np.nonzero(bits <= BITS)
        left, right = order[start + left[left < right]], order[start + right[left < right]]
        near = np.square(means[left] - means[right]).mean(1) <= tolerance**2
        left, right = left[near], right[near]
        close = np.fromiter(_close(thumbnails, left, right, tolerance), bool, len(left))
        return np.stack([np.minimum(left, right)[close], np.maximum(left, right)[close]], 1)

    with ThreadPoolExecutor(threads) as pool:
        found = np.concatenate([np.empty((0, 2), np.int64), *pool.map(block, range(0, count, BLOCK))])
    return found[np.lexsort((found[:, 0], found[:, 1]))]


def _close(thumbnails: NDArray[np.uint8], left: Pairs, right: Pairs, tolerance: float) -> Iterator[bool]:
    for start in range(0, len(left), 1024):
        some = slice(start, start + 1024)
        apart = thumbnails[left[some]].astype(np.float32) - thumbnails[right[some]]
        yield from np.square(apart).mean(1) <= tolerance**2
