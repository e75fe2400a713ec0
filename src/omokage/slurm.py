"""What a run on a cluster asks of SLURM: which of the user's jobs live, and to queue this one again."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

WAIT = 10.0  # seconds between two questions
# A job whose time limit is too short for a single step would be queued again for ever.
RESTARTS = 100


@dataclass(frozen=True)
class Queued:
    """A job in the queue: its state, the comment it was submitted with, and the folder it runs in."""

    state: str
    comment: str
    folder: Path

    def runs(self, stages: Iterable[str]) -> bool:
        """Return whether Snakemake submitted it for a rule of one of the stages."""
        rule = self.comment.removeprefix("rule_")
        return any(rule == stage or rule.startswith(f"{stage}_part_") for stage in stages)

    def lies_in(self, folder: Path) -> bool:
        """Return whether it runs in that very folder."""
        return self.folder.resolve() == folder.resolve()


def this_job() -> str | None:
    """Return the id of the job that this process runs in."""
    return os.environ.get("SLURM_JOB_ID")


def queue() -> Mapping[str, Queued] | None:
    """Return the user's jobs that wait, run or are being ended, by their id; None if SLURM does not answer."""
    if not shutil.which("squeue"):
        return {}
    command = ["squeue", "--me", "--noheader", "--format=%i|%T|%k|%Z"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    lines = [line.strip().split("|", 3) for line in done.stdout.splitlines()]
    return {job: Queued(state, comment, Path(folder)) for job, state, comment, folder in lines}


def lives(job: str) -> bool:
    """Return whether the job has begun and not ended; where SLURM does not answer, it may."""
    queued = queue()
    return queued is None or (job in queued and queued[job].state != "PENDING")


def wait(folder: Path, stages: Iterable[str]) -> bool:
    """Wait for the jobs that an earlier run in `folder` has left for these stages; return whether there were any.

    Where SLURM does not answer at first nothing is waited for: the stages hold locks of their own.
    """
    names, seen = list(stages), set[str]()
    while (jobs := queue()) or (jobs is None and seen):
        left = {job: queued for job, queued in (jobs or {}).items() if queued.runs(names) and queued.lies_in(folder)}
        if jobs is not None and not left:
            break
        for job in left.keys() - seen:
            print(
                f"omokage: waiting for SLURM job {job} ({left[job].comment}, {left[job].state}), which an earlier run "
                f"has left: what it makes is used if it fits (`scancel {job}` ends it)",
                file=sys.stderr,
                flush=True,
            )
        seen |= left.keys()
        time.sleep(WAIT)
    return bool(seen)


def requeue() -> bool:
    """Have this job queued again, with its time limit anew; return whether it will be.

    Not where SLURM is ending it: somebody has cancelled it, or SLURM queues it again by itself.
    """
    job = this_job()
    if not job or not shutil.which("scontrol"):
        return False
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=False).stdout
    facts = dict(re.findall(r"\b(JobState|Restarts)=(\w+)", shown))
    if facts.get("JobState") != "RUNNING" or int(facts["Restarts"]) >= RESTARTS:
        return False
    return subprocess.run(["scontrol", "requeue", job], check=False).returncode == 0
