"""A run, as a revision has it: tables and records from git, samples from DVC's cache."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import dvc.api
import pandas as pd
from dvc.exceptions import DvcException
from safetensors import SafetensorError
from safetensors.numpy import load

from omokage import provenance
from omokage.errors import Refused
from omokage.figures.sheet import Pictures
from omokage.history import History, Revision
from omokage.lineage import METRICS
from omokage.provenance import Record

LOSS, LEVELS = "results/loss.csv", "results/noise_levels.csv"
SAMPLES, SHEET = "results/samples.safetensors", "results/figures/samples.png"
SCORES = {"distance", "distance_floor", "kid", "kid_floor", "extractor"}


@dataclass(frozen=True)
class Run:
    """What is compared of a run.

    `loss` has columns step and loss, `levels` has log_snr (nats), train and held_out. `samples` are uint8
    [n, 3, h, w], in order of their number, or None where DVC's cache lacks them; then `sheet` may be the figure of
    them that git keeps, a PNG.
    """

    name: str
    records: dict[str, Record]
    metrics: dict[str, Any]
    loss: pd.DataFrame
    levels: pd.DataFrame
    samples: Pictures | None
    sheet: bytes | None
    read: dict[str, str]

    def params(self) -> dict[str, Any]:
        """Return the parameters of all stages, as their last runs had them."""
        return {key: value for record in self.records.values() for key, value in record["params"].items()}

    def drawn_from(self) -> tuple[Any, ...]:
        """Return what decides from which noise picture i was drawn."""
        params = self.params()
        return params.get("sample_seed"), params.get("image_size")


def read(history: History, name: str) -> Run:
    """Return the run that a revision holds; raise Refused for an unknown one, or one without results."""
    revision = history.revision(name)
    files = {path: history.read(revision, path) for path in (METRICS, LOSS, LEVELS)}
    # The stage that checks the parameters has run with those of the next run, if that one failed.
    records = {stage: provenance.public(run) for stage, run in history.records(revision).items() if stage != "params"}
    tables = {path: content for path, content in files.items() if content is not None}
    if missing := files.keys() - tables.keys():
        raise Refused(f"{name}: has no results to compare ({min(missing)} is missing): run it, or name another")
    metrics = json.loads(tables[METRICS])
    if missing := SCORES - metrics.keys():
        raise Refused(f"{name}: {METRICS} has no {min(missing)}: compare it with code of its own time")
    samples = _samples(history, revision, records.get("sample", {}).get("outs", {}).get(SAMPLES))
    return Run(
        name,
        records,
        metrics,
        pd.read_csv(io.BytesIO(tables[LOSS])),
        pd.read_csv(io.BytesIO(tables[LEVELS])),
        samples,
        history.read(revision, SHEET) if samples is None else None,
        {path: sha256(content).hexdigest() for path, content in tables.items()},
    )


def _samples(history: History, revision: Revision, digest: str | None) -> Pictures | None:
    """Return the samples with this hash, from the workspace or DVC's cache, or None if they are in neither."""
    try:
        content = history.read(revision, SAMPLES)
        if content is None:
            content = dvc.api.read(SAMPLES, repo=str(history.root), rev=revision.commit or None, mode="rb")
        return load(content)["samples"] if sha256(content).hexdigest() == digest else None
    except (DvcException, OSError, SafetensorError, KeyError):
        return None


def differences(runs: Sequence[Run]) -> list[tuple[str, list[Any]]]:
    """Return the parameters that are not alike in all runs, with the value in each (None: it has no such parameter)."""
    every = [run.params() for run in runs]
    keys = dict.fromkeys(key for params in every for key in params)
    rows = [(key, [params.get(key) for params in every]) for key in keys]
    return [(key, values) for key, values in rows if any(value != values[0] for value in values)]


def others(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Return what else is not alike in all runs, by kind: files of data and of code, packages."""
    stages = dict.fromkeys(stage for run in runs for stage in run.records)
    found: dict[str, list[str]] = {"data": [], "code": [], "packages": []}
    for kind, part, of in (("data", "outs", ["download"]), ("code", "code", stages), ("packages", "packages", stages)):
        for stage in of:
            tables = [run.records.get(stage, {}).get(part, {}) for run in runs]
            names = dict.fromkeys(name for table in tables for name in table)
            found[kind] += [name for name in names if any(table.get(name) != tables[0].get(name) for table in tables)]
    return [(kind, sorted(set(names))) for kind, names in found.items() if names]
