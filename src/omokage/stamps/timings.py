"""Read results/timings.json: how long each stage took, by run.

The file maps a stage to the seconds of its runs, and a run is named by a hash. So after a return to earlier parameters,
whose results DVC restores, the times of those results are found. The key MACHINES maps a stage to the machine of each
of these runs, in words; older files lack it. Git can merge the times of different stages, which are on different lines.
"""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from omokage.stamps.records import Record

PATH = "results/timings.json"
MACHINES = "machines"
# The parts of a record that tell one run from another. The others say how the stage ran.
IDENTITY = ("stage", "params", "deps", "code_deps", "packages", "outs")
Timings = dict[str, dict[str, float]]
Machines = dict[str, dict[str, str]]
Value = TypeVar("Value")


def identify_run(record: Record) -> str:
    """Return the name of a run: a hash of its parameters, inputs, code, packages and outputs."""
    identity = [record.get(part) for part in IDENTITY]
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def read_timings(path: Path) -> Timings:
    """Return the seconds of each run, by stage and by name of the run. Raises ValueError if the file holds no times."""
    timings = json.loads(path.read_text(encoding="utf-8"))
    try:
        return {
            stage: {run: float(seconds) for run, seconds in runs.items()}
            for stage, runs in timings.items()
            if stage != MACHINES
        }
    except (AttributeError, TypeError) as error:
        raise ValueError("expected seconds by stage and run") from error


def read_machines(path: Path) -> Machines:
    """Return the machine of each run, by stage and by name of the run; {} if the file is older and has none.

    Raises ValueError if the file holds something else.
    """
    timings = json.loads(path.read_text(encoding="utf-8"))
    try:
        return {stage: {run: str(name) for run, name in runs.items()} for stage, runs in timings[MACHINES].items()}
    except KeyError:
        return {}
    except (AttributeError, TypeError) as error:
        raise ValueError("expected machines by stage and run") from error


def find_seconds(path: Path, records: Sequence[Record]) -> dict[str, float]:
    """Return the seconds of the runs in `records`, by stage; runs without a known time are left out."""
    return _find_runs(read_timings, path, records)


def find_machines(path: Path, records: Sequence[Record]) -> dict[str, str]:
    """Return the machines of the runs in `records` in words, by stage; runs without a known machine are left out."""
    return _find_runs(read_machines, path, records)


def _find_runs(
    read: Callable[[Path], dict[str, dict[str, Value]]], path: Path, records: Sequence[Record]
) -> dict[str, Value]:
    """Return what the file says of the runs in `records`, by stage. A file that cannot be read says nothing."""
    try:
        values = read(path)
    except (OSError, ValueError):
        return {}
    names = {record["stage"]: identify_run(record) for record in records}
    return {stage: values[stage][run] for stage, run in names.items() if run in values.get(stage, {})}
