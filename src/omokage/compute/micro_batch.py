"""The limit on how many images a network processes at once, which the profile's key `micro_batch` sets.

Splitting a batch changes results only by rounding.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from omokage.base.environment import read_positive
from omokage.base.memory import explain_out_of_memory

VARIABLE = "OMOKAGE_MICRO_BATCH"


def read_micro_batch() -> int | None:
    """Return the limit, or None if there is none. Raises UserError if the variable is not a whole number above 0."""
    return read_positive(VARIABLE, 1) if VARIABLE in os.environ else None


def limit_batch(count: int, micro_batch: int | None) -> int:
    """Return how many of `count` images to process at once: at least 1, so that an empty batch can be split."""
    return max(1, min(count, micro_batch or count))


@contextmanager
def explain_large_batch(work: str, count: int, side: int) -> Iterator[None]:
    """Raise UserError if memory runs out in the block, which processes `count` images of `side` x `side` pixels.

    `work` is a verb, such as "training on".
    """
    remedy = (
        f"set micro_batch: {count // 2} or less in the configfile of a profile, or {VARIABLE}={count // 2}"
        if count > 1
        else "use a machine with more memory, or a smaller network (model_channels, image_size)"
    )
    images = f"{count} images" if count > 1 else "one image"
    with explain_out_of_memory(remedy, f"while {work} {images} of {side} x {side} pixels at once"):
        yield
