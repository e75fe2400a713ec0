"""List the user's jobs in SLURM's queue, wait for them, and requeue the job that this process runs in."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

WAIT = 10.0  # seconds between two queries of the queue
# Without a limit, a job whose time limit is too short for a single step would be requeued for ever.
MAX_RESTARTS = 100


@dataclass(frozen=True)
class QueuedJob:
    """A job in the queue: its state, its comment (Snakemake writes rule_NAME), and the folder it runs in."""

    state: str
    comment: str
    folder: Path

    def is_for(self, stages: Iterable[str]) -> bool:
        """Return whether Snakemake submitted the job for a rule of one of the stages."""
        rule = self.comment.removeprefix("rule_")
        return any(rule == stage or rule.startswith(f"{stage}_part_") for stage in stages)

    def is_in(self, folder: Path) -> bool:
        """Return whether the job runs in exactly this folder."""
        return self.folder.resolve() == folder.resolve()


def get_job_id() -> str | None:
    """Return the id of the SLURM job that this process runs in, or None outside SLURM."""
    return os.environ.get("SLURM_JOB_ID")


def list_jobs() -> Mapping[str, QueuedJob] | None:
    """Return the user's jobs in the queue, by id: {} without SLURM, and None if SLURM does not answer."""
    if not shutil.which("squeue"):
        return {}
    command = ["squeue", "--me", "--noheader", "--format=%i|%T|%k|%Z"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        return None
    lines = [line.strip().split("|", 3) for line in result.stdout.splitlines()]
    return {job: QueuedJob(state, comment, Path(folder)) for job, state, comment, folder in lines}


def is_running(job: str) -> bool:
    """Return whether the job has started and not ended; True if SLURM does not answer, since it may be running."""
    jobs = list_jobs()
    return jobs is None or (job in jobs and jobs[job].state != "PENDING")


def wait_for_jobs(folder: Path, stages: Iterable[str]) -> bool:
    """Wait for the jobs that an earlier run in `folder` submitted for these stages; return whether there were any.

    If SLURM does not answer the first query, return at once: the stages' own locks still prevent double work.
    """
    names, announced = list(stages), set[str]()
    while (jobs := list_jobs()) or (jobs is None and announced):
        unfinished = {job_id: job for job_id, job in (jobs or {}).items() if job.is_for(names) and job.is_in(folder)}
        if jobs is not None and not unfinished:
            break
        for job_id in unfinished.keys() - announced:
            job = unfinished[job_id]
            print(
                f"omokage: waiting for SLURM job {job_id} ({job.comment}, {job.state}) of an earlier run: its results "
                f"are used if they fit (to end it, run `scancel {job_id}`)",
                file=sys.stderr,
                flush=True,
            )
        announced |= unfinished.keys()
        time.sleep(WAIT)
    return bool(announced)


def requeue() -> bool:
    """Requeue this job, which resets its time limit; return whether SLURM accepted.

    Does nothing if the job is no longer in the state RUNNING: a user has cancelled it, or SLURM will requeue it. Does
    nothing after MAX_RESTARTS restarts either.
    """
    job = get_job_id()
    if not job or not shutil.which("scontrol"):
        return False
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=False).stdout
    fields = dict(re.findall(r"\b(JobState|Restarts)=(\w+)", shown))
    if fields.get("JobState") != "RUNNING" or int(fields["Restarts"]) >= MAX_RESTARTS:
        return False
    return subprocess.run(["scontrol", "requeue", job], check=False).returncode == 0
