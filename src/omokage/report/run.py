"""Read the tables and scores of the run that the report assesses."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omokage.base.json_file import read_json

# The project's study of schedule, prediction and learning rate, made by benchmarks/hyperparameter_study.py.
TRIALS = "benchmarks/results/study.csv"


@dataclass(frozen=True)
class LossRow:
    """One row of the loss table: the mean training loss over the steps since the previous row."""

    step: int
    loss: float


@dataclass(frozen=True)
class NoiseLevel:
    """The mean squared errors of the EMA network at one noise level, on the training set and on the held-out set.

    `log_snr` is the noise level, as log signal-to-noise ratio in nats.
    """

    log_snr: float
    train: float
    held_out: float


@dataclass(frozen=True)
class Duration:
    """The device of the training, and the seconds of the training and of all stages; None if unknown.

    `by_stage` are the seconds of each stage whose time is known.
    """

    device: str
    training: float | None = None
    total: float | None = None
    by_stage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """The tables, scores and curation counts of a run, three of its parameters, and how long it took.

    `metrics` are the scores in scores.json, and `faces` the counts in curation.json. `progress` and `study` are the
    rows of progress.csv and study.csv; they are empty if progress_samples is 0 or sampler_study is empty. `trials` are
    the rows of TRIALS, which are not of this run.
    """

    losses: list[LossRow]
    levels: list[NoiseLevel]
    metrics: dict[str, Any]
    faces: dict[str, Any]
    progress: list[dict[str, str]]
    study: list[dict[str, str]]
    batch_size: int
    prediction: str
    duration: Duration
    trials: list[dict[str, str]] = field(default_factory=list)
    guidance_scale: float = 1.0

    @classmethod
    def load(
        cls,
        locate: Callable[[str], Path],
        batch_size: int,
        prediction: str,
        duration: Duration,
        guidance_scale: float = 1.0,
    ) -> "Run":
        """Read a run. `locate` maps a path that dvc.yaml declares to the actual path."""
        return cls(
            losses=[LossRow(int(row["step"]), float(row["loss"])) for row in _read_csv(locate("results/loss.csv"))],
            levels=[
                NoiseLevel(float(row["log_snr"]), float(row["train"]), float(row["held_out"]))
                for row in _read_csv(locate("results/noise_levels.csv"))
            ],
            metrics=read_json(locate("results/scores.json")),
            faces=read_json(locate("results/curation.json")),
            progress=_read_csv(locate("results/progress.csv")),
            study=_read_csv(locate("results/study.csv")),
            batch_size=batch_size,
            prediction=prediction,
            duration=duration,
            trials=_read_csv(locate(TRIALS)),
            guidance_scale=guidance_scale,
        )


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
