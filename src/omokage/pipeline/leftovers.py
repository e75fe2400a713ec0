"""Find and remove what ended runs have left: locks, partial results, unfinished outputs and logs.

A run is alive if it holds its lock, or if SLURM lists a job for its stage. Nothing of such a run is removed.
"""

import json
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from omokage.base.checkout import local_folder, work_folder
from omokage.base.files import PARTIAL, remove
from omokage.pipeline import slurm
from omokage.pipeline.experiments import list_experiment_names
from omokage.pipeline.file_lock import try_lock
from omokage.pipeline.graph import read_stages

# A run's folder of partial results, STAGE-FINGERPRINT, or a lock of the run or of one of its parts.
RUN = re.compile(r"(?P<run>(?P<stage>\w+)-[0-9a-f]{16})(\.\d+-of-\d+)?(?P<lock>\.lock)?")
KEPT_LOGS = ("workspace", "slurm")
# The user's SLURM jobs by id, or None if SLURM does not answer.
Jobs = Mapping[str, slurm.QueuedJob] | None
WRITING = 0.5  # seconds; more than DVC needs to write its table of locks
RESUMABLE = "the same parameters, data and code would resume from it"


@dataclass(frozen=True)
class Leftover:
    """A file or folder that a run has left, and what it is. `kept` is the reason to keep it, or "" to remove it."""

    path: Path
    description: str
    kept: str = ""


def clean_leftovers(root: Path, everything: bool = False, dry_run: bool = False) -> Iterator[Leftover]:
    """Yield the leftovers of ended runs in the main checkout `root`, and remove those without a reason to keep them.

    With `everything`, also remove partial results from which an interrupted run could resume. With `dry_run`, remove
    nothing.
    """
    jobs = slurm.list_jobs()
    # Each generator holds the locks of a leftover until the next one is requested, so no run starts meanwhile.
    runs, outputs = _find_runs(root, jobs, everything), _find_outputs(root, jobs)
    for leftover in chain(runs, outputs, _find_logs(root), _find_damaged_lock(root)):
        if not leftover.kept and not dry_run:
            remove(leftover.path)
        yield leftover


def _find_runs(root: Path, jobs: Jobs, everything: bool) -> Iterator[Leftover]:
    """Yield the locks and the partial results of runs."""
    matches = [match for path in sorted(work_folder(root).glob("*")) if (match := RUN.fullmatch(path.name))]
    for run in dict.fromkeys(match["run"] for match in matches):
        of_run = [match for match in matches if match["run"] == run]
        locks = [work_folder(root) / match[0] for match in of_run if match["lock"]]
        with ExitStack() as stack:
            alive = _find_user(root, jobs, _lock_all(stack, locks), [of_run[0]["stage"]])
            kept, folder = alive, work_folder(root) / run
            if folder.is_dir():
                if _can_resume(folder) and not everything:
                    kept = alive or RESUMABLE
                yield Leftover(folder, "partial results of a run", kept)
            # The locks go last, since they protect the folder.
            yield from (Leftover(path, "lock of a run", kept) for path in locks)


def _lock_all(stack: ExitStack, locks: Iterable[Path]) -> list[str]:
    """Hold the free ones of the `locks` until the stack ends, and return the processes that hold the others."""
    holders = [stack.enter_context(try_lock(path)) for path in locks]
    return [holder for holder in holders if holder]


def _find_user(root: Path, jobs: Jobs, holders: Sequence[str], stages: Collection[str]) -> str:
    """Return which of the `holders` of locks is alive, or which SLURM job may run one of the stages; "" if none."""
    if holders:
        return f"in use by {holders[0]}"
    if jobs is None:
        return "SLURM does not answer, so a job may use it"
    for number, job in jobs.items():
        if job.is_for(stages) and job.folder.resolve().is_relative_to(root.resolve()):
            return f"SLURM job {number} may use it"
    return ""


def _can_resume(folder: Path) -> bool:
    """Return whether a folder of partial results holds a complete file, such as a checkpoint."""
    return any(path.is_file() and not path.name.startswith(PARTIAL) for path in folder.rglob("*"))


def _find_outputs(root: Path, jobs: Jobs) -> Iterator[Leftover]:
    """Yield the unfinished outputs in the checkout, if no stage runs there."""
    stages = read_stages(root)
    folders = sorted({(root / out).parent for stage in stages.values() for out in stage.outs})
    unfinished = [path for folder in folders for path in sorted(folder.glob(f"{PARTIAL}*"))]
    with ExitStack() as stack:
        locks = [path for name in stages if (path := local_folder(root) / f"{name}.lock").exists()]
        kept = _find_user(root, jobs, _lock_all(stack, locks if unfinished else []), stages)
        yield from (Leftover(path, "unfinished output", kept) for path in unfinished)


def _find_logs(root: Path) -> Iterator[Leftover]:
    """Yield the logs of experiments that no longer exist."""
    folders = [path for path in sorted((work_folder(root) / "logs").glob("*/")) if path.name not in KEPT_LOGS]
    existing = list_experiment_names(root) if folders else set()
    for path in folders:
        if path.name not in existing:
            yield Leftover(path, "logs of an experiment that was removed")


def _find_damaged_lock(root: Path) -> Iterator[Leftover]:
    """Yield DVC's table of locks if a killed DVC has left it half written: then no DVC can start."""
    path = root / ".dvc" / "tmp" / "rwlock"
    if _is_damaged(path):
        time.sleep(WRITING)
        if _is_damaged(path):
            yield Leftover(path, "damaged lock of DVC")


def _is_damaged(path: Path) -> bool:
    """Return whether a file exists and is not JSON."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False
