"""Write results/timings.json: how long each stage took. git keeps the file, and the report quotes it."""

import fcntl
import json
import sys
from pathlib import Path

from omokage.base.checkout import local_folder
from omokage.base.files import write_text
from omokage.stamps.records import Record
from omokage.stamps.timings import PATH, Timings, identify_run, read_timings

MAX_RUNS = 10  # times kept for each stage
# `params` takes no time, and the report reads the file, so a time of its own would make it stale.
UNTIMED = ("params", "report")


def write_seconds(root: Path, record: Record, seconds: float) -> None:
    """Add the seconds that the run in `record` took, unless its time is known.

    So a run that repeats an earlier one to the byte leaves the file as it is. A file that cannot be read or written is
    reported in one line, since it must not fail a stage.
    """
    stage, run = record["stage"], identify_run(record)
    if stage in UNTIMED:
        return
    try:
        with (local_folder(root) / "timings.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            timings = read_timings(root / PATH) if (root / PATH).exists() else {}
            if run not in timings.get(stage, {}):
                runs = [*timings.get(stage, {}).items(), (run, round(seconds, 1))]
                timings[stage] = dict(runs[-MAX_RUNS:])
                write_text(root / PATH, _render(timings))
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


def _render(timings: Timings) -> str:
    return json.dumps(dict(sorted(timings.items())), indent=1) + "\n"
