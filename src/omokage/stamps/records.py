"""Read and write run records: results/runs/STAGE.json describes the last run of a stage.

A record (short for run record) has the parameters of the stage, the sha256 of inputs, code and outputs, and the
versions of packages. It is an output of its stage: DVC keeps it in its cache, and git ignores it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omokage.base.checkout import REMOTE
from omokage.base.errors import UserError
from omokage.base.files import write_text
from omokage.base.json_file import read_json

FOLDER = "results/runs/"
Record = dict[str, Any]
# Stage -> the parameter that names its input among the user's own files.
USER_FILES = {"download": "folder", "train": "init_from"}
# Keys that every record has, in addition to `stage`. The value of each is an object.
TABLES = ("params", "deps", "code", "packages", "outs")


def record_path(stage: str) -> str:
    """Return the path of a stage's record, relative to the checkout."""
    return f"{FOLDER}{stage}.json"


def read_record(path: Path) -> Record:
    """Return the record in a file. Raises UserError if the file is not a record."""
    with suppress(UserError, TypeError, KeyError):
        record = read_json(path)
        if "stage" in record and all(isinstance(record[table], dict) for table in TABLES):
            return dict(record)
    raise UserError(f"{record_path(path.stem)} is not a valid run record: run `dvc repro`, which restores it")


def list_records(inputs: Mapping[str, Path]) -> list[Record]:
    """Return the records among the inputs of a stage, in the order of `inputs` (declared path -> actual path)."""
    return [read_record(location) for path, location in inputs.items() if path.startswith(FOLDER)]


def find_record(records: Iterable[Record], stage: str) -> Record:
    """Return the record of a stage."""
    return next(record for record in records if record["stage"] == stage)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record atomically."""
    write_text(path, json.dumps(record, indent=1, sort_keys=True) + "\n")


def publish(record: Record) -> Record:
    """Return a copy of a record for stamps and pages, without the path of the user's own images.

    The copy has no parameter `folder`. In `deps`, the sha256 of the user's own files is under the name of the parameter
    (see USER_FILES) instead of the path. The keys `stage` and `code_deps` are also left out.
    """
    params = {key: value for key, value in record["params"].items() if key != "folder"}
    parameter = USER_FILES.get(record["stage"], "")
    deps = {parameter if path.startswith(REMOTE) else path: digest for path, digest in record["deps"].items()}
    return {key: value for key, value in record.items() if key not in ("stage", "code_deps")} | {
        "params": params,
        "deps": deps,
    }


def trace_runs(deps: Mapping[str, str], records: Sequence[Record]) -> dict[str, Record]:
    """Return the published records of all runs upstream of the files `deps` (path -> sha256), by stage.

    Published means as returned by `publish`. A file comes from the run that lists it in `outs`. The search continues
    with the `deps` of that run, and ends at files that no run lists. Raises UserError if a sha256 differs from
    the recorded one.
    """
    producers = {path: record for record in records for path in record["outs"]}
    runs: dict[str, Record] = {}

    def follow(deps: Mapping[str, str]) -> None:
        for path, digest in deps.items():
            if (record := producers.get(path)) is None:
                continue
            if record["outs"][path] != digest:
                raise UserError(f"{path} is not from the recorded run of {record['stage']}: run `dvc repro`")
            if record["stage"] not in runs:
                runs[record["stage"]] = publish(record)
                follow(record["deps"])

    follow(deps)
    return runs
