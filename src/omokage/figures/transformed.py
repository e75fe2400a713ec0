"""Plot held-out faces, SDEdit edits of them at several strengths, and DDIM inversion round trips of them."""

from functools import partial
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from omokage.figures.sheet import Row, choose_fitting, compose_rows, note_shown

# Counts of faces to try, in this order, until the PNG has at most BUDGET bytes.
COUNTS, BUDGET = (8, 6, 4, 3, 2, 1), 120_000


def plot(transformed: dict[str, NDArray[Any]]) -> Image.Image:
    """Plot the arrays in results/transformed.safetensors (see stages/transform.py), one column per face."""
    total = len(transformed["faces"])
    counts = [count for count in COUNTS if count < total]
    variants = [partial(_compose, transformed, count) for count in (min(total, COUNTS[0]), *counts)]
    return choose_fitting(variants, BUDGET)


def _compose(transformed: dict[str, NDArray[Any]], count: int) -> Image.Image:
    rows = [Row("held-out face", transformed["faces"][:count])]
    for number, strength in enumerate(transformed["strengths"].tolist()):
        edits = transformed["varied"][:count, number]
        rows.append(Row(f"SDEdit {100 * strength:.0f} %", edits, gap_above=number == 0))
    rows.append(Row("DDIM\nround trip", transformed["there_and_back"][:count], gap_above=True))
    rows.append(Row("RMSE (of 255)", [f"{error:.2g}" for error in transformed["errors"][:count].tolist()]))
    note = note_shown(count, len(transformed["faces"]), "faces")
    return compose_rows("Image editing (SDEdit and DDIM inversion)", rows, note)
