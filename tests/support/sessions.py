"""Run `dvc repro` in a session of its own, so that a signal reaches the whole run and nothing else."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.clone import Clone


def output_path(clone: Clone) -> Path:
    """Return the file that receives the output of all sessions in the clone."""
    return clone.root / ".dvc" / "tmp" / "output"


def start_session(clone: Clone, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command in the clone, in a new session, with exactly this environment."""
    with output_path(clone).open("a") as output:
        return subprocess.Popen(
            command,
            cwd=clone.root,
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all its children at once, as a power cut does, unless it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def start_repro_train(clone: Clone, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Start `dvc repro train` without preloading; kill its session in the end.

    The run has a minimal environment, to which `environment` is added.
    """
    minimal = {"PATH": "/usr/bin:/bin", "HOME": str(clone.root), **clone.settings(), "OMOKAGE_PYTHON": sys.executable}
    run = start_session(clone, [sys.executable, "-m", "dvc", "repro", "train"], {**minimal, **(environment or {})})
    try:
        yield run
    finally:
        kill_session(run)
