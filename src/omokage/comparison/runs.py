"""Read the runs to compare, each from a revision, and find the differences between them.

dvc.lock and tables are read from git, and samples from DVC's cache.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from omokage.base.errors import UserError
from omokage.base.files import hash_bytes
from omokage.base.json_file import explain_damage, parse_json
from omokage.comparison.samples import FIGURE, cut_samples, find_objects, read_figure, read_samples
from omokage.comparison.scores import drop_older_scores, list_score_settings
from omokage.figures.sheet import Images
from omokage.provenance.history import Entry, History, Revision
from omokage.provenance.lineage import METRICS, SAMPLES, SCORES
from omokage.provenance.locked_runs import CONSTANT, list_runs, trace_entries
from omokage.stamps.records import FOLDER, Record

LOSS, LEVELS = "results/loss.csv", "results/noise_levels.csv"
MAX_SAMPLES = 12  # of each run
# The metrics that a comparison needs.
REQUIRED = {"distance", "distance_floor", "kid", "kid_floor", "extractor"}


@dataclass(frozen=True)
class Run:
    """The results of one run.

    `runs` are the entries of dvc.lock by stage, in the form of run records. `loss` has the columns step and
    loss, and since version 0.2 train and held_out; `levels` has log_snr (nats), train and held_out (squared errors).
    `samples` are the first ones, uint8 [n, 3, h, w],
    in the order of their seeds; if DVC's cache lacks them, they are cut out of `samples_figure`, the PNG in git. Both
    are None if they are missing. `inputs` are the sha256 of the tables, by path. `inconsistency` is a message that says
    which file another run wrote, or None.
    """

    name: str
    revision: Revision
    runs: dict[str, Record]
    metrics: dict[str, Any]
    loss: pd.DataFrame
    levels: pd.DataFrame
    samples: Images | None
    samples_figure: bytes | None
    inputs: dict[str, str]
    inconsistency: str | None

    def params(self) -> dict[str, Any]:
        """Return the parameters of all stages."""
        return {key: value for record in self.runs.values() for key, value in record["params"].items()}

    def noise_key(self) -> tuple[Any, Any]:
        """Return the parameters that determine the initial noise of the samples."""
        params = self.params()
        return params.get("sample_seed"), params.get("image_size")

    def score_settings(self) -> dict[str, Any]:
        """Return the settings that the scores were computed with (see scores.list_score_settings)."""
        return list_score_settings(self.metrics, self.runs)


def read_run(history: History, name: str) -> Run:
    """Read the run of a revision. Raises UserError if the revision does not exist or has no results."""
    revision = history.revision(name)
    locks = history.locks(revision)
    scores = SCORES if history.read(revision, SCORES) is not None else METRICS
    files = {path: history.read(revision, path) for path in (scores, LOSS, LEVELS)}
    tables = {path: content for path, content in files.items() if content is not None}
    missing = sorted(files.keys() - tables.keys())
    if missing or not locks:
        problem = f"{missing[0]} is missing" if missing else "dvc.lock is missing or damaged"
        raise UserError(
            f"{name}: has no results to compare ({problem}): run `dvc repro` in this revision, or name another run"
        )
    hashes = {path: hashlib.md5(content).hexdigest() for path, content in tables.items()}
    runs = {stage: run for stage, run in list_runs(history, revision).items() if stage != CONSTANT}
    outs = {path: md5 for entry in locks.values() for path, md5 in entry["outs"].items()}
    samples = read_samples(history, revision, find_objects(history), outs.get(SAMPLES, ""), MAX_SAMPLES)
    figure = read_figure(history, revision, outs.get(FIGURE)) if samples is None else None
    if figure is not None:
        image_size = runs.get("faces", {}).get("params", {}).get("image_size")
        samples = cut_samples(figure, image_size, MAX_SAMPLES) if isinstance(image_size, int) else None
    return Run(
        name,
        revision,
        runs,
        _read_scores(tables[scores], name, scores),
        _read_table(tables[LOSS], LOSS, {"step", "loss"}),
        _read_table(tables[LEVELS], LEVELS, {"log_snr", "train", "held_out"}),
        samples,
        figure,
        {path: hash_bytes(content) for path, content in tables.items()},
        _find_inconsistency(hashes, locks),
    )


def _read_scores(content: bytes, name: str, path: str) -> dict[str, Any]:
    scores = parse_json(content, path)
    if missing := REQUIRED - scores.keys():
        raise UserError(
            f"{name}: {path} has no {min(missing)}, because an older version of Omokage wrote it: run the "
            "`omokage compare` of that version"
        )
    return drop_older_scores(scores)


def _read_table(content: bytes, path: str, columns: set[str]) -> pd.DataFrame:
    """Return a CSV table. Raises UserError if it lacks a column."""
    try:
        table = pd.read_csv(io.BytesIO(content))
    except ValueError:
        table = pd.DataFrame()
    if columns <= {*table}:
        return table
    raise UserError(explain_damage(content.decode("utf-8", "replace"), path, f"has no columns {', '.join(columns)}"))


def _find_inconsistency(tables: Mapping[str, str], locks: Mapping[str, Entry]) -> str | None:
    """Return a message about a file that is not from the run in dvc.lock, or None if all files are.

    The files are the `tables` (path -> MD5) and the files upstream of them.
    """
    try:
        trace_entries(locks, tables)
    except UserError as error:
        return str(error)
    return None


def tabulate_params(runs: Sequence[Run]) -> tuple[list[tuple[str, list[Any]]], list[tuple[str, Any]]]:
    """Return the parameters that differ, with the value in each run (None: not a parameter of the run), and the others.

    The others are those with the same value in all runs, which is given once.
    """
    params_by_run = [run.params() for run in runs]
    keys = dict.fromkeys(key for params in params_by_run for key in params)
    rows = [(key, [params.get(key) for params in params_by_run]) for key in keys]
    is_equal = {key: all(value == values[0] for value in values) for key, values in rows}
    differing = [(key, values) for key, values in rows if not is_equal[key]]
    return differing, [(key, values[0]) for key, values in rows if is_equal[key]]


def find_other_differences(runs: Sequence[Run]) -> dict[str, list[tuple[str, list[Any]]]]:
    """Return what else differs between runs, by kind: data (files), code (folders) or packages.

    Each item is a name with its hash, or the version of the package, in each run (None: the run lacks it).
    """
    stages = dict.fromkeys(stage for run in runs for stage in run.runs)
    data = [item for item in _compare_entries(runs, ["download"], "outs") if not item[0].startswith(FOLDER)]
    differences = {
        "data": data,
        "code": _compare_entries(runs, stages, "code"),
        "packages": _compare_entries(runs, stages, "packages"),
    }
    return {kind: items for kind, items in differences.items() if items}


def _compare_entries(runs: Sequence[Run], stages: Iterable[str], part: str) -> list[tuple[str, list[Any]]]:
    """Compare one part, such as `outs`, of the entries of `stages` in dvc.lock between the runs.

    Return the keys with values that differ, sorted, with the value in each run.
    """
    found: dict[str, list[Any]] = {}
    for stage in stages:
        tables = [run.runs.get(stage, {}).get(part, {}) for run in runs]
        for key in dict.fromkeys(key for table in tables for key in table):
            values = [table.get(key) for table in tables]
            if any(value != values[0] for value in values):
                found.setdefault(key, values)
    return sorted(found.items())


def find_score_setting_differences(runs: Sequence[Run]) -> list[str]:
    """Return the names of the settings of the scores that differ between runs. Unknown settings are ignored."""
    settings = [run.score_settings() for run in runs]
    return [key for key in settings[0] if len({item[key] for item in settings} - {None}) > 1]
