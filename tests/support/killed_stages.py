"""Run detect and faces ten times, kill each run at a random moment, then let the last run finish.

    python -m support.killed_stages OUT

OUT must hold pictures.zip, with at least 20 images, and manifest.json; the work folder is OUT/../work. Each run is a
fork of this process, since starting torch ten times would take long. This process must not use tqdm before it forks,
since forks share the lock of tqdm.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omokage.data.curation.crop_files import CropWriter
from omokage.data.detection.detection_writer import DetectionWriter
from support.images import run_detect_and_faces

WriteChunk = Callable[[Any, range, Path], None]
RUNS = 10


def kill_at(write_chunk: WriteChunk, start: int, moment: str) -> WriteChunk:
    """Return `write_chunk`, changed to kill the process before the chunk at `start`, or after half of it is written."""

    def write_or_die(self: Any, numbers: range, path: Path) -> None:
        if numbers.start == start and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        write_chunk(self, numbers, path)
        if numbers.start == start:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    return write_or_die


def main(out: Path) -> None:
    """Kill half of the runs in detect and the other half in faces, then run both stages until the end."""
    generator = random.Random(0)
    for run in range(RUNS):
        writer: Any = DetectionWriter if run < RUNS // 2 else CropWriter
        start = 4 * (run % 5) + generator.randrange(4)
        moment = generator.choice(["before", "half"])
        child = os.fork()
        if child == 0:
            writer.__call__ = kill_at(writer.__call__, start, moment)
            run_detect_and_faces(out, out.parent / "work")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, run
    run_detect_and_faces(out, out.parent / "work")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
