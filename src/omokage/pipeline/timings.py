"""Write results/timings.json: how long each stage took. git keeps the file, and the report quotes it."""

import fcntl
import json
import os
import sys
from pathlib import Path

from omokage.base.checkout import local_folder
from omokage.base.files import write_text
from omokage.pipeline.machine import describe_machine
from omokage.stamps.records import Record
from omokage.stamps.timings import MACHINES, PATH, Machines, Timings, identify_run, read_machines, read_timings

MAX_RUNS = 10  # times kept for each stage
# `params` takes no time, and the report reads the file, so a time of its own would make it stale.
UNTIMED = ("params", "report")


def write_seconds(root: Path, record: Record, seconds: float) -> None:
    """Add the seconds that the run in `record` took, and the machine, unless both are known.

    So a run that repeats an earlier one to the byte leaves the file as it is. A file that cannot be read or written is
    reported in one line, since it must not fail a stage.
    """
    stage, run = record["stage"], identify_run(record)
    if stage in UNTIMED:
        return
    try:
        with (local_folder(root) / "timings.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            exists = (root / PATH).exists()
            timings = read_timings(root / PATH) if exists else {}
            machines = read_machines(root / PATH) if exists else {}
            # Older files have times without a machine.
            if run not in machines.get(stage, {}):
                others = [item for item in timings.get(stage, {}).items() if item[0] != run]
                timings[stage] = dict([*others, (run, round(seconds, 1))][-MAX_RUNS:])
                machines.setdefault(stage, {})[run] = f"{describe_machine()}, {_measure_memory()}"
                write_text(root / PATH, _render(timings, machines))
    except (OSError, ValueError) as error:
        print(
            f"omokage: {PATH}: the time of {stage} is not added ({error}): restore it with `git checkout -- {PATH}`",
            file=sys.stderr,
        )


def read_last_seconds(root: Path) -> dict[str, float]:
    """Return the seconds of each stage's last run in the file, and 0 for the stages without a time of their own.

    A file that is missing or cannot be read counts as empty.
    """
    seconds = dict.fromkeys(UNTIMED, 0.0)
    try:
        return seconds | {stage: [*runs.values()][-1] for stage, runs in read_timings(root / PATH).items() if runs}
    except (OSError, ValueError):
        return seconds


def _render(timings: Timings, machines: Machines) -> str:
    """Return the content of the file, with the machines of those runs only whose times are kept."""
    kept = {
        stage: {run: machines[stage][run] for run in timings.get(stage, {}) if run in machines[stage]}
        for stage in sorted(machines)
    }
    return json.dumps(dict(sorted({**timings, MACHINES: kept}.items())), indent=1) + "\n"


def _measure_memory() -> str:
    """Return the memory of this machine in words."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{gib:.0f} GiB of memory"
