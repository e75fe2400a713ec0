"""Locks that name who holds them, and end with the process that does.

The lock is the file system's (flock). Not every one carries it from node to node; so where the file still names a job
of SLURM on another node, SLURM is asked whether that job lives.
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

from omokage import slurm
from omokage.errors import Refused

WAIT = 2.0  # seconds between two tries


@contextlib.contextmanager
def hold(path: Path, what: str, holding: str = "runs it already") -> Iterator[bool]:
    """Hold the lock `path` for `what`, after waiting for whoever does, and saying so; yield whether that was needed.

    Raises Refused where the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        waited = False
        while holder := _holder(file):
            if not waited:
                print(f"omokage: {what}: waiting for {holder}, which {holding}", file=sys.stderr, flush=True)
            waited = True
            time.sleep(WAIT)
        file.truncate(0)
        file.write(_name())
        file.flush()
        try:
            yield waited
        finally:
            file.truncate(0)


def _name() -> str:
    process = f"process {os.getpid()} on {socket.gethostname()}"
    return f"SLURM job {slurm.this_job()} ({process})" if slurm.this_job() else process


def _holder(file: TextIO) -> str | None:
    """Take the lock, or return who holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(file) or "another process"
    except OSError as error:
        raise Refused(f"{file.name} cannot be locked ({error.strerror}): expected a file system with flock") from error
    named = _named(file)
    job = re.match(r"SLURM job (\d+) \(process \d+ on (.+)\)", named)
    if job and job[1] != slurm.this_job() and job[2] != socket.gethostname() and slurm.lives(job[1]):
        fcntl.flock(file, fcntl.LOCK_UN)
        return named
    return None


def _named(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip()
