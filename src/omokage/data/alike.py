"""Which faces are nearly the same picture: copies that were scaled, compressed, shifted or touched up a little."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from omokage.data.signs import THUMBNAIL, Signs

BITS = 12  # of 64: hashes that differ in more are of different pictures, whatever their colours
BLOCK = 64

Rows = NDArray[np.int64]


def near_duplicates(signs: Signs, tolerance: float, threads: int) -> dict[int, int]:
    """Return for each face that nearly repeats an earlier one the number of that one, which itself repeats none.

    Two are nearly the same if their hashes differ in at most BITS bits and their thumbnails by at most `tolerance`
    (root mean square, of 255). Of those left no two are, so none can be on both sides of a split.
    """
    repeats: dict[int, int] = {}
    kept = np.empty(0, np.int64)
    with ThreadPoolExecutor(threads) as pool:
        # Only with those kept is a face compared: of many that are alike there is one.
        for start in range(0, len(signs.phash), BLOCK):
            block = np.arange(start, min(start + BLOCK, len(signs.phash)))
            found = pool.map(partial(_pairs, signs, tolerance, block), [*np.array_split(kept, threads), block])
            earlier, later = np.concatenate(list(found)).T
            for number in np.lexsort((earlier, later)):
                one, other = int(earlier[number]), int(later[number])
                if one < other and one not in repeats and other not in repeats:
                    repeats[other] = one
            kept = np.concatenate([kept, [face for face in block.tolist() if face not in repeats]]).astype(np.int64)
    return repeats


def _pairs(signs: Signs, tolerance: float, some: Rows, others: Rows) -> Rows:
    """Return the pairs (one of `others`, one of `some`) that are nearly the same, int64 [m, 2]."""
    bits = np.bitwise_count(signs.phash[some, None] ^ signs.phash[None, others])
    rows, columns = np.nonzero(bits <= BITS)
    pairs = np.stack([others[columns], some[rows]], 1)
    thumbnails = signs.thumbnails.reshape(-1, THUMBNAIL**2 * 3)
    close = [_apart(thumbnails, pairs[at : at + 1024]) <= tolerance**2 for at in range(0, len(pairs), 1024)]
    return pairs[np.concatenate([np.empty(0, bool), *close])]


def _apart(thumbnails: NDArray[np.uint8], pairs: Rows) -> NDArray[np.float32]:
    left, right = (thumbnails[pairs[:, side]].astype(np.float32) for side in (0, 1))
    return np.square(left - right).mean(1)
