"""Held-out faces beside what the model makes of them, the more anew the stronger they were noised."""

from functools import partial
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from omokage.figures.sheet import Row, fitting, ruled

COUNTS, BUDGET = (8, 6, 4, 3, 2, 1), 90_000


def draw(transformed: dict[str, NDArray[Any]]) -> Image.Image:
    """Draw faces, their versions, and their way to noise and back with its error (arrays of stages/transform.py)."""
    most = len(transformed["faces"])
    counts = [count for count in COUNTS if count < most]
    return fitting([partial(_sheet, transformed, count) for count in (min(most, COUNTS[0]), *counts)], BUDGET)


def _sheet(transformed: dict[str, NDArray[Any]], count: int) -> Image.Image:
    rows = [Row("held out", transformed["faces"][:count])]
    for number, strength in enumerate(transformed["strengths"].tolist()):
        rows.append(Row(f"noised {100 * strength:.0f} %", transformed["varied"][:count, number], apart=number == 0))
    rows.append(Row("to noise\nand back", transformed["there_and_back"][:count], apart=True))
    rows.append(Row("error (of 255)", [f"{error:.1f}" for error in transformed["errors"][:count].tolist()]))
    return ruled("Faces made anew", rows)
