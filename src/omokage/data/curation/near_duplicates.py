"""Find near-duplicate faces: copies that were rescaled, compressed, shifted or retouched slightly."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from omokage.data.curation.descriptors import THUMBNAIL, FaceDescriptors

MAX_HASH_DISTANCE = 12  # of 64 bits; with more differing bits, two faces are not near-duplicates
BLOCK = 64  # faces compared at once with all earlier ones
PAIRS = 1024  # thumbnail pairs compared at once

Rows = NDArray[np.int64]


def find_near_duplicates(descriptors: FaceDescriptors, tolerance: float, threads: int) -> dict[int, int]:
    """Return the row of each near-duplicate, mapped to the row of the earlier face that it duplicates.

    Two faces are near-duplicates if their perceptual hashes differ in at most MAX_HASH_DISTANCE bits and the root mean
    square difference of their thumbnails is at most `tolerance` (of 255). Among the remaining faces there are no
    near-duplicates, so no pair of near-duplicates is split between the training set and the held-out set.
    """
    originals: dict[int, int] = {}
    distinct = np.empty(0, np.int64)
    count = len(descriptors.phash)
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, count, BLOCK):
            block = np.arange(start, min(start + BLOCK, count))
            # Faces are compared with the remaining earlier ones only, not with duplicates.
            candidates = [*np.array_split(distinct, threads), block]
            pairs = pool.map(partial(_find_pairs, descriptors, tolerance, block), candidates)
            earlier_rows, later_rows = np.concatenate(list(pairs)).T
            for index in np.lexsort((earlier_rows, later_rows)):
                earlier, later = int(earlier_rows[index]), int(later_rows[index])
                if earlier < later and earlier not in originals and later not in originals:
                    originals[later] = earlier
            new = [row for row in block.tolist() if row not in originals]
            distinct = np.concatenate([distinct, new]).astype(np.int64)
    return originals


def _find_pairs(descriptors: FaceDescriptors, tolerance: float, block: Rows, candidates: Rows) -> Rows:
    """Return the pairs (row in `candidates`, row in `block`) of near-duplicates, int64 [m, 2]."""
    distances = np.bitwise_count(descriptors.phash[block, None] ^ descriptors.phash[None, candidates])
    places = np.flatnonzero(distances <= MAX_HASH_DISTANCE)  # much faster than nonzero of the matrix
    block_index, candidate_index = np.divmod(places, max(1, len(candidates)))
    pairs = np.stack([candidates[candidate_index], block[block_index]], 1)
    thumbnails = descriptors.thumbnails.reshape(-1, THUMBNAIL**2 * 3)
    is_close = [
        _mean_squared_differences(thumbnails, pairs[start : start + PAIRS]) <= tolerance**2
        for start in range(0, len(pairs), PAIRS)
    ]
    return pairs[np.concatenate([np.empty(0, bool), *is_close])]


def _mean_squared_differences(thumbnails: NDArray[np.uint8], pairs: Rows) -> NDArray[np.float32]:
    first, second = (thumbnails[pairs[:, column]].astype(np.float32) for column in (0, 1))
    return np.square(first - second).mean(1)
