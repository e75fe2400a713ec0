"""Write scores and nearest neighbours as JSON and CSV files, with floats rounded to five significant digits."""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from omokage.evaluation.scores.copies import CopySearch


def write_scores(path: Path, scores: Mapping[str, Any]) -> None:
    """Write scores as a JSON file, with each list in one line."""
    text = json.dumps(_round(scores), indent=2, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda found: " ".join(found[0].split()), text)
    path.write_text(text + "\n", encoding="utf-8")


def write_neighbours(path: Path, search: CopySearch) -> None:
    """Write a CSV file with one row per sample: the kind of suspected copy, and the nearest faces with distances.

    The columns of each set of faces are the index and the distance. `mirrored` (0 or 1), `right` and `down` (in pixels)
    say how the training face was aligned with the sample.
    """
    sets = vars(search.neighbours)
    columns = ["sample", "kind", *(column for name in sets for column in (name, f"{name}_distance"))]
    alignment = search.neighbours.train.alignment
    moves = torch.stack([alignment.mirrored.long(), alignment.right, alignment.down], 1).tolist()
    rows = (
        [row, kind, *(cell for nearest in sets.values() for cell in nearest.at(row)), *moves[row]]
        for row, kind in enumerate(search.kinds)
    )
    write_table(path, [*columns, "mirrored", "right", "down"], rows)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows of cells as a CSV file with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{cell:.5g}" if isinstance(cell, float) else cell for cell in row] for row in rows)


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _round(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_round(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
