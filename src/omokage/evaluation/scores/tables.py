"""Write scores and nearest neighbours as JSON and CSV files, with floats rounded to five significant digits."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omokage.evaluation.scores.neighbours import NearestNeighbours


def write_scores(path: Path, scores: Mapping[str, Any]) -> None:
    """Write scores as a JSON file."""
    path.write_text(json.dumps(_round(scores), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_neighbours(path: Path, nearest: Mapping[str, NearestNeighbours], n: int) -> None:
    """Write a CSV file with one row per sample: the index of the nearest face and its distance, for each set of faces.

    `nearest` holds the neighbours of the n samples in each set of faces; its keys name the columns.
    """
    columns = ["sample", *(column for kind in nearest for column in (kind, f"{kind}_distance"))]
    rows = ([i, *(cell for faces in nearest.values() for cell in faces.at(i))] for i in range(n))
    write_table(path, columns, rows)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows of cells as a CSV file with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{cell:.5g}" if isinstance(cell, float) else cell for cell in row] for row in rows)


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _round(inner) for key, inner in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value
