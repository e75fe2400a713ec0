"""Train the tiny model in processes that interrupt themselves, then resume in the same work folder until the end.

    PYTHONPATH=src:tests python -m support.interrupted_training FOLDER POINT [POINT ...]

A point is `step:N` (SIGKILL before step N), `save:N` (SIGKILL with half of checkpoint N written), `term:N` (SIGTERM
before step N), or `never`. The runs write a model, its snapshots and a loss table to FOLDER/POINT/first and
FOLDER/POINT/second. The exit codes of both are printed as JSON, by point.
"""

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import torch

from omokage.base.errors import Interrupted
from omokage.diffusion.model import save_model
from omokage.diffusion.posthoc_ema import save_snapshots
from omokage.training.trainer import Row, Trainer
from support.training import make_spec, train_tiny

INTERRUPTED = 75


def train_interrupted(output: Path, work: Path, point: str) -> NoReturn:
    """Train with a checkpoint after every step, be interrupted at `point`, else write the outputs; exit in any case."""
    kind, _, number = point.partition(":")
    advance = Trainer.advance
    steps = [0]

    def advance_or_die(trainer: Trainer) -> None:
        if kind in ("step", "term") and trainer.step == int(number):
            os.kill(os.getpid(), signal.SIGKILL if kind == "step" else signal.SIGTERM)
        advance(trainer)
        steps.append(trainer.step)

    def sync_or_die(descriptor: int) -> None:
        if kind == "save" and steps[-1] == int(number):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    output.mkdir(parents=True)
    with (
        (output / "loss.csv").open("w") as table,
        patch.object(Trainer, "advance", advance_or_die),
        patch.object(os, "fsync", sync_or_die),
    ):

        def log(row: Row) -> None:
            table.write(f"{row['step']:.0f},{row['lr']!r},{row['loss']!r}\n")
            table.flush()

        try:
            result = train_tiny(work, log)
        except Interrupted as error:
            print(error, file=sys.stderr)
            os._exit(INTERRUPTED)
    save_model(output / "model.safetensors", result.network, make_spec())
    save_snapshots(output / "snapshots.safetensors", result.snapshots)
    os._exit(0)


def train_in_fork(output: Path, work: Path, point: str) -> int:
    """Train in a forked process; return its exit code, or the negative number of the signal that killed it."""
    if (child := os.fork()) == 0:
        torch.set_num_threads(1)
        train_interrupted(output, work, point)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Interrupt and resume a training at every point of the command line."""
    os.environ["OMOKAGE_CHECKPOINT_SECONDS"] = "1e-9"  # a checkpoint after every step
    # Optimisers import this module at their first step, which takes seconds; import it once, before forking.
    importlib.import_module("torch._dynamo")
    exit_codes = {}
    for point in sys.argv[2:]:
        folder = Path(sys.argv[1]) / point
        first = train_in_fork(folder / "first", folder / "work", point)
        exit_codes[point] = [first, train_in_fork(folder / "second", folder / "work", "never")]
    print(json.dumps(exit_codes))


if __name__ == "__main__":
    main()
