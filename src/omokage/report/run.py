"""What a report judges: the tables and the scores of one run."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Loss:
    """One row of the loss table: the mean training loss over the steps since the row before."""

    step: int
    loss: float


@dataclass(frozen=True)
class Level:
    """The averaged network's mean squared error at one noise level; log_snr in nats."""

    log_snr: float
    train: float
    held_out: float


@dataclass(frozen=True)
class Run:
    """All that a report judges: the tables, the scores, the curation, and the training's parameters.

    `progress` and `study` are tables of scores, as the evaluation writes them, and empty where they were not asked for.
    """

    losses: list[Loss]
    levels: list[Level]
    metrics: dict[str, Any]
    faces: dict[str, Any]
    progress: list[dict[str, str]]
    study: list[dict[str, str]]
    batch_size: int
    prediction: str

    @classmethod
    def load(cls, place: Callable[[str], Path], batch_size: int, prediction: str) -> "Run":
        """Read a run from its files; `place` says where one that dvc.yaml calls so lies."""
        return cls(
            losses=[Loss(int(row["step"]), float(row["loss"])) for row in _rows(place("results/loss.csv"))],
            levels=[
                Level(float(row["log_snr"]), float(row["train"]), float(row["held_out"]))
                for row in _rows(place("results/noise_levels.csv"))
            ],
            metrics=read_json(place("results/metrics.json")),
            faces=read_json(place("results/faces.json"))["faces"],
            progress=_rows(place("results/progress.csv")),
            study=_rows(place("results/study.csv")),
            batch_size=batch_size,
            prediction=prediction,
        )


def read_json(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
