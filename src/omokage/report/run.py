"""Read the tables and scores of the run that the report assesses."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omokage.base.json_file import read_json
from omokage.stamps.records import Record, find_record

# The project's study of schedule, prediction and learning rate, made by benchmarks/hyperparameter_study.py.
TRIALS = "benchmarks/results/study.csv"


@dataclass(frozen=True)
class LossRow:
    """One row of the loss table: the mean training loss over the steps since the previous row.

    `train` and `held_out` are the errors of the EMA network on both sets. Most rows lack them.
    """

    step: int
    loss: float
    train: float | None = None
    held_out: float | None = None


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

    `by_stage` are the seconds of each stage whose time is known. `machines` describes the machine of each stage whose
    machine is known: the processor, the cores, the GPUs and the memory.
    """

    device: str
    training: float | None = None
    total: float | None = None
    by_stage: Mapping[str, float] = field(default_factory=dict)
    machines: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def sum(
        cls, records: Sequence[Record], seconds: Mapping[str, float], machines: Mapping[str, str] | None = None
    ) -> "Duration":
        """Return the duration of the stages in `records`, of which `seconds` has those whose time is known."""
        total = sum(seconds.values()) if len(seconds) == len(records) else None
        return cls(
            find_record(records, "train")["facts"]["device"], seconds.get("train"), total, seconds, machines or {}
        )


@dataclass(frozen=True)
class Run:
    """The tables, scores and curation counts of a run, some of its parameters, and how long it took.

    `metrics` are the scores in scores.json, and `faces` the counts in curation.json. `progress` and `study` are the
    rows of progress.csv and study.csv; they are empty if progress_samples is 0 or sampler_study is empty. `trials` are
    the rows of TRIALS, which are not of this run. `half_size_losses` are empty if there were no steps at half the size,
    which went through `half_size_images` images.
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
    guidance_min_log_snr: float = -math.inf
    sampler: str = "ddpm"
    decay: float = 0.5
    keep_best: bool = False
    init_from: str = "none"
    half_size_losses: list[LossRow] = field(default_factory=list)
    half_size_images: int = 0

    @classmethod
    def load(cls, locate: Callable[[str], Path], records: Sequence[Record], duration: Duration) -> "Run":
        """Read a run from its tables and records. `locate` maps a path that dvc.yaml declares to the actual path."""
        train, sample = (find_record(records, stage)["params"] for stage in ("train", "sample"))
        return cls(
            losses=_read_losses(locate("results/loss.csv")),
            levels=[
                NoiseLevel(float(row["log_snr"]), float(row["train"]), float(row["held_out"]))
                for row in _read_csv(locate("results/noise_levels.csv"))
            ],
            metrics=read_json(locate("results/scores.json")),
            faces=read_json(locate("results/curation.json")),
            progress=_read_csv(locate("results/progress.csv")),
            study=_read_csv(locate("results/study.csv")),
            batch_size=train["batch_size"],
            prediction=train["prediction"],
            duration=duration,
            trials=_read_csv(locate(TRIALS)),
            guidance_scale=sample["guidance_scale"],
            guidance_min_log_snr=sample["guidance_min_log_snr"],
            sampler=sample["sampler"],
            decay=train["decay"],
            keep_best=train["keep_best"],
            init_from=train["init_from"],
            half_size_losses=_read_losses(locate("results/half_size_loss.csv")),
            half_size_images=find_record(records, "train")["facts"].get("half_size_images", 0),
        )


def _read_losses(path: Path) -> list[LossRow]:
    return [
        LossRow(int(row["step"]), float(row["loss"]), *(_parse(row.get(key)) for key in ("train", "held_out")))
        for row in _read_csv(path)
    ]


def _parse(text: str | None) -> float | None:
    return float(text) if text else None


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
