"""Read the runs to compare, each from a revision, and find the differences between them.

Tables and run records (see stamps/records.py) are read from git, and samples from DVC's cache.
"""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dvc.api
import pandas as pd
from dvc.exceptions import DvcException
from safetensors import SafetensorError
from safetensors.numpy import load

from omokage.base.errors import UserError
from omokage.base.files import hash_bytes
from omokage.config.renamed import rename_runs
from omokage.figures.sheet import Images
from omokage.provenance.history import History, Revision
from omokage.provenance.lineage import METRICS, SAMPLES
from omokage.stamps.records import Record, publish, trace_runs

LOSS, LEVELS = "results/loss.csv", "results/noise_levels.csv"
SAMPLES_FIGURE = "results/figures/samples.png"
# The metrics that a comparison needs.
REQUIRED = {"distance", "distance_floor", "kid", "kid_floor", "extractor"}
FACES = "data/faces"
# The metrics that are settings of the scores, with the names that the page shows.
SCORE_SETTINGS = {
    "extractor": "feature extractor",
    "resize": "resizing",
    "n": "number of samples",
    "n_reference": "number of real faces",
}


@dataclass(frozen=True)
class Run:
    """The results of one run.

    `records` are the run records by stage, under the current names of stages and parameters. `loss` has the columns
    step and loss, and `levels` has log_snr (nats), train and held_out (squared errors). `samples` are uint8
    [n, 3, h, w], in the order of their seeds. If DVC's cache lacks them, they are None, and `samples_figure` is the PNG
    of samples in git, if any. `inputs` are the sha256 of the tables, by path. `inconsistency` is a message that says
    which file another run wrote, or None.
    """

    name: str
    records: dict[str, Record]
    metrics: dict[str, Any]
    loss: pd.DataFrame
    levels: pd.DataFrame
    samples: Images | None
    samples_figure: bytes | None
    inputs: dict[str, str]
    inconsistency: str | None

    def params(self) -> dict[str, Any]:
        """Return the recorded parameters of all stages."""
        return {key: value for record in self.records.values() for key, value in record["params"].items()}

    def noise_key(self) -> tuple[Any, Any]:
        """Return the parameters that determine the initial noise of the samples."""
        params = self.params()
        return params.get("sample_seed"), params.get("image_size")

    def score_settings(self) -> dict[str, Any]:
        """Return the settings that the scores were computed with; an unknown setting has the value None.

        Scores computed with different settings are not comparable."""
        faces = self.records.get("evaluate", {}).get("deps", {}).get(FACES)
        return {name: self.metrics.get(key) for key, name in SCORE_SETTINGS.items()} | {"real faces": faces}


def read_run(history: History, name: str) -> Run:
    """Read the run of a revision. Raises UserError if the revision does not exist or has no results."""
    revision = history.revision(name)
    files = {path: history.read(revision, path) for path in (METRICS, LOSS, LEVELS)}
    tables = {path: content for path, content in files.items() if content is not None}
    if missing := files.keys() - tables.keys():
        raise UserError(
            f"{name}: has no results to compare ({min(missing)} is missing): run `dvc repro` in this revision, or name "
            "another run"
        )
    metrics = json.loads(tables[METRICS])
    if missing := REQUIRED - metrics.keys():
        raise UserError(
            f"{name}: {METRICS} has no {min(missing)}, because an older version of Omokage wrote it: run the "
            "`omokage compare` of that version"
        )
    records, inputs = history.records(revision), {path: hash_bytes(content) for path, content in tables.items()}
    samples = _read_samples(history, revision, records.get("sample", {}).get("outs", {}).get(SAMPLES))
    return Run(
        name,
        _select_records(records),
        metrics,
        pd.read_csv(io.BytesIO(tables[LOSS])),
        pd.read_csv(io.BytesIO(tables[LEVELS])),
        samples,
        history.read(revision, SAMPLES_FIGURE) if samples is None else None,
        inputs,
        _find_inconsistency(inputs, records),
    )


def _select_records(records: dict[str, Record]) -> dict[str, Record]:
    """Return the records to compare, without paths on this machine and under the current names.

    Leaves out the record of the stage `params`. If a later run fails, that record has the parameters of the failed run.
    """
    published = {
        stage: publish(run) | {"code_deps": run.get("code_deps", {})}
        for stage, run in records.items()
        if stage != "params"
    }
    return rename_runs(published)


def _find_inconsistency(inputs: dict[str, str], records: dict[str, Record]) -> str | None:
    """Return a message about a file that is not from the recorded runs, or None if all files are.

    The files are the tables (`inputs`: path -> sha256) and the files upstream of them. A file is from another run if
    the sha256 differs from the recorded one.
    """
    try:
        trace_runs(inputs, list(records.values()))
    except UserError as error:
        return str(error)
    return None


def _read_samples(history: History, revision: Revision, digest: str | None) -> Images | None:
    """Return the samples of a revision, from the workspace or DVC's cache, or None if neither has them.

    `digest` is the sha256 that the run record lists for the samples file. A file with another sha256 counts as missing.
    If `digest` is None, the result is None.
    """
    try:
        content = history.read(revision, SAMPLES)
        if content is None:
            content = dvc.api.read(SAMPLES, repo=str(history.root), rev=revision.commit or None, mode="rb")
        return load(content)["samples"] if hash_bytes(content) == digest else None
    except (DvcException, OSError, SafetensorError, KeyError):
        return None


def find_differences(runs: Sequence[Run]) -> list[tuple[str, list[Any]]]:
    """Return the parameters that differ between runs, with the value in each run (None: not a parameter of the run)."""
    params_by_run = [run.params() for run in runs]
    keys = dict.fromkeys(key for params in params_by_run for key in params)
    rows = [(key, [params.get(key) for params in params_by_run]) for key in keys]
    return [(key, values) for key, values in rows if any(value != values[0] for value in values)]


def find_other_differences(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Return the data files, code files and packages that differ between runs, by kind: data, code or packages."""
    stages = dict.fromkeys(stage for run in runs for stage in run.records)
    code_stages = [stage for stage in stages if not _has_same_code(runs, stage)]
    differences = (
        ("data", _differing_keys(runs, ["download"], "outs")),
        ("code", _differing_keys(runs, code_stages, "code")),
        ("packages", _differing_keys(runs, stages, "packages")),
    )
    return [(kind, names) for kind, names in differences if names]


def _has_same_code(runs: Sequence[Run], stage: str) -> bool:
    """Return whether the code that dvc.yaml declares for a stage is the same in all runs.

    Runs with the same code may still have loaded different modules.
    """
    digests = [run.records.get(stage, {}).get("code_deps", {}) for run in runs]
    return bool(digests[0]) and all(other == digests[0] for other in digests)


def _differing_keys(runs: Sequence[Run], stages: Iterable[str], part: str) -> list[str]:
    """Return the sorted keys of one part of the stages' records, such as `outs`, whose values differ between runs."""
    found: set[str] = set()
    for stage in stages:
        tables = [run.records.get(stage, {}).get(part, {}) for run in runs]
        found.update(key for table in tables for key in table if any(t.get(key) != table[key] for t in tables))
    return sorted(found)


def find_score_setting_differences(runs: Sequence[Run]) -> list[str]:
    """Return the names of the settings of the scores that differ between runs. Unknown settings are ignored."""
    settings = [run.score_settings() for run in runs]
    return [key for key in settings[0] if len({item[key] for item in settings} - {None}) > 1]
