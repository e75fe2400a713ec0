"""The command that Snakemake runs for every job: run one stage, print its errors and set the exit code.

python -m omokage.pipeline.runner STAGE --threads N [--part K/N] [--exclusive] [--log-to FILE]
"""

import argparse
import contextlib
import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import Any, TextIO

from omokage.base.errors import Interrupted, UserError
from omokage.base.memory import explain_out_of_memory
from omokage.pipeline import slurm
from omokage.pipeline.memory_remedies import describe_remedy
from omokage.pipeline.run_stage import run_stage

# The exit code after SIGTERM, EX_TEMPFAIL of sysexits.h: the same command, run again, resumes.
RESUMABLE = 75
REMEDIES = {
    errno.ENOSPC: "free some space on the disk",
    errno.EDQUOT: "free some of your disk quota",
    errno.EACCES: "give this user the permission",
    errno.EPERM: "give this user the permission",
    errno.EROFS: "mount the file system writable",
}
# DVC deletes the outputs of a stage before running it, so a failed stage leaves none.
HOW_TO_RESTORE = " (to get back the results of the last run, undo your changes and run `dvc repro`)"


class Tee:
    """A text stream whose text is also written to a log file. All other attributes are those of the stream.

    The log is opened without a buffer. Text that cannot be written to it, for example on a full disk, is skipped.
    """

    def __init__(self, stream: TextIO, log: RawIOBase) -> None:
        self.stream, self.log = stream, log

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self.log.write(text.encode(errors="backslashreplace"))
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def main() -> int:
    """Run the stage named on the command line and return the exit code; a UserError prints one line and returns 1."""
    # SLURM sends SIGTERM before the time limit; Ctrl-C is turned into SIGTERM. `train` installs its own handler.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, lambda *_: signal.raise_signal(signal.SIGTERM))
    arguments = _parse_arguments()
    with contextlib.ExitStack() as stack:
        if arguments.log_to:
            try:
                arguments.log_to.parent.mkdir(parents=True, exist_ok=True)
                log = stack.enter_context(arguments.log_to.open("wb", buffering=0))
                stack.enter_context(contextlib.redirect_stderr(Tee(sys.stderr, log)))
            except OSError as error:
                print(f"omokage: {arguments.stage}: no log is kept: {error}", file=sys.stderr)
        try:
            with _name_remedies(), explain_out_of_memory(describe_remedy(arguments.stage)):
                run_stage(Path.cwd(), arguments.stage, arguments.threads, arguments.part, arguments.exclusive)
        except UserError as error:
            hint = HOW_TO_RESTORE if "DVC_STAGE" in os.environ and arguments.stage != "params" else ""
            print(f"omokage: {arguments.stage}: {error}{hint}", file=sys.stderr)
            return 1
        except Interrupted as error:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print(f"omokage: {arguments.stage}: {error}", file=sys.stderr)
            if int(os.environ.get("RANK", 0)) == 0 and slurm.requeue():
                print(f"omokage: {arguments.stage}: SLURM job {slurm.get_job_id()} is requeued", file=sys.stderr)
            return RESUMABLE
        except Exception:
            traceback.print_exc()
            return 1
    return 0


@contextlib.contextmanager
def _name_remedies() -> Iterator[None]:
    """Turn an error of the disk or of its permissions into a UserError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        file = f"{error.filename}: " if error.filename else ""
        raise UserError(f"{file}{error.strerror}: {REMEDIES[error.errno]}") from error


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="omokage.pipeline.runner", description="run one stage, sealed")
    parser.add_argument("stage")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--part", type=lambda text: tuple(int(number) for number in text.split("/")))
    parser.add_argument("--exclusive", action="store_true")
    parser.add_argument("--log-to", type=Path)
    return parser.parse_args()


def _interrupt(*_: object) -> None:
    raise Interrupted("stopped: run the same command to resume")


if __name__ == "__main__":
    sys.exit(main())
