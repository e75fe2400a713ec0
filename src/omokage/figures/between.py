"""What lies between two seeds: pictures along the arc from one starting noise to another."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.figures.sheet import Row, fitting, ruled

PAIRS, BUDGET = (4, 3, 2, 1), 90_000


def draw(ways: NDArray[np.uint8]) -> Image.Image:
    """Draw pictures [pairs, n, 3, h, w], a row for each pair of seeds."""
    return fitting([partial(_sheet, ways[:pairs]) for pairs in PAIRS], BUDGET)


def _sheet(ways: NDArray[np.uint8]) -> Image.Image:
    rows = [Row(f"{2 * pair} to {2 * pair + 1}", way) for pair, way in enumerate(ways)]
    return ruled("Between two seeds", rows)
