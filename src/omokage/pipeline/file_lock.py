"""Lock files that name the process holding the lock; the system releases the lock when that process ends.

The lock is the file system's (flock). Some file systems do not share flock between nodes. So if the lock file names a
SLURM job on another node, the lock counts as held as long as SLURM reports that job as running.
"""

import contextlib
import fcntl
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from omokage.base.errors import UserError
from omokage.pipeline import slurm

WAIT = 2.0  # seconds between two attempts to acquire the lock


@contextlib.contextmanager
def hold_lock(path: Path, user: str, activity: str = "runs it already") -> Iterator[bool]:
    """Hold the lock file `path` until the context ends; yield whether the lock had to be waited for.

    A wait is printed once, as "USER: waiting for HOLDER, which ACTIVITY": `user` is the stage that needs the lock, and
    `activity` is what the process holding the lock does. Raises UserError if the file system does not support flock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    has_waited = False
    while True:
        with path.open("a+", encoding="utf-8") as file:
            while holder := _acquire_or_find_holder(file):
                if not has_waited:
                    print(f"omokage: {user}: waiting for {holder}, which {activity}", file=sys.stderr, flush=True)
                has_waited = True
                time.sleep(WAIT)
            if not _is_file_at(path, file):
                continue  # `omokage clean` removed the file after it was opened here
            file.truncate(0)
            file.write(_describe_this_process())
            file.flush()
            try:
                yield has_waited
            finally:
                file.truncate(0)
            return


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[str | None]:
    """Acquire the lock file `path` without waiting, and hold it until the context ends.

    Yield None, or the name of the process that holds the lock if another one does.
    """
    with path.open("a+", encoding="utf-8") as file:
        yield _acquire_or_find_holder(file)


def _is_file_at(path: Path, file: TextIO) -> bool:
    """Return whether `file` is still the file at `path`: it may have been removed or replaced since it was opened."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))


def _describe_this_process() -> str:
    process = f"process {os.getpid()} on {socket.gethostname()}"
    return f"SLURM job {slurm.get_job_id()} ({process})" if slurm.get_job_id() else process


def _acquire_or_find_holder(file: TextIO) -> str | None:
    """Acquire the lock and return None; if another process holds the lock, return the name of that process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(file) or "another process"
    except OSError as error:
        raise UserError(
            f"{file.name} cannot be locked ({error.strerror}): expected a file system with flock"
        ) from error
    holder = _read_holder(file)
    job = re.match(r"SLURM job (\d+) \(process \d+ on (.+)\)", holder)
    if job and job[1] != slurm.get_job_id() and job[2] != socket.gethostname() and slurm.is_running(job[1]):
        fcntl.flock(file, fcntl.LOCK_UN)
        return holder
    return None


def _read_holder(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip()
