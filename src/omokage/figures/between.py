"""Plot latent interpolations: images generated along the arc from one starting noise to another."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.figures.sheet import Row, choose_fitting, compose_rows, note_shown

# Counts of pairs to try, in this order, until the PNG has at most BUDGET bytes.
PAIRS, BUDGET = (4, 3, 2, 1), 45_000


def plot(interpolations: NDArray[np.uint8]) -> Image.Image:
    """Plot interpolations, uint8 [pairs, n, 3, h, w], one row for each pair of starting noises."""
    return choose_fitting([partial(_compose, interpolations, pairs) for pairs in PAIRS], BUDGET)


def _compose(interpolations: NDArray[np.uint8], pairs: int) -> Image.Image:
    shown = interpolations[:pairs]
    rows = [Row(f"noise {2 * pair} to {2 * pair + 1}", images) for pair, images in enumerate(shown)]
    note = note_shown(len(shown), len(interpolations), "pairs")
    return compose_rows("Latent interpolation between two noises", rows, note)
