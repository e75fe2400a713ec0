"""The reverse process as a film strip: what the sampler holds, and the clean picture it expects."""

from functools import partial

import numpy as np
from PIL import Image

from omokage.figures.sheet import Pictures, Row, fitting, ruled

# (moments, faces), of which the first that fits is taken.
SIZES, BUDGET = ((9, 2), (7, 2), (9, 1), (7, 1), (5, 1)), 140_000


def draw(moments: dict[str, Pictures]) -> Image.Image:
    """Draw a few of the moments: t [f], and x_t and x0 as uint8 [f, k, 3, h, w], from noise to picture."""
    return fitting([partial(_sheet, moments, *size) for size in SIZES], BUDGET)


def _sheet(moments: dict[str, Pictures], columns: int, faces: int) -> Image.Image:
    count = len(moments["t"])
    shown = np.linspace(0, count - 1, min(columns, count)).round().astype(int)
    rows = [Row("step t", [str(t) for t in moments["t"][shown].tolist()])]
    for face in range(min(faces, moments["x_t"].shape[1])):
        rows.append(Row("noisy", moments["x_t"][shown, face], apart=face > 0))
        rows.append(Row("predicted", moments["x0"][shown, face]))
    return ruled("Noise comes out", rows)
