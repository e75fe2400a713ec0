"""Disturb the tiny pipeline with faults, repair it, and compare its outputs with those of an undisturbed run.

    PYTHONPATH=src:tests .venv/bin/python benchmarks/chaos.py [--runs 42] [--first 0] [--seed 0]

Each run copies a finished clone, changes a parameter, and starts `dvc repro`. One fault of tests/support/faults.py
happens at a random moment. Then `dvc repro` runs until it succeeds. A run is good if the outputs equal those of an
undisturbed run, no process is left, and the next `dvc repro` has nothing to do. Each run appends a row to
results/chaos.csv.
"""

import argparse
import random
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import append_row
from support.clone import Clone, make_interruptible
from support.faults import FAULTS, LINK_TYPES, cause_fault, find_processes, repro_until_success
from support.runs import hash_outputs

# They rerun the stages from faces, train and sample on.
CHANGES: tuple[dict[str, Any], ...] = ({"held_out": 0.4}, {"lr": 1e-3}, {"sample_steps": 5})


def main() -> None:
    """Run the campaign; exit with 1 unless every run was good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3 * len(FAULTS))
    parser.add_argument("--first", type=int, default=0, help="number of the first run, to continue a campaign")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    all_good = True
    with TemporaryDirectory(prefix="chaos") as folder:
        campaign = Campaign(Path(folder))
        for number in range(arguments.first, arguments.runs):
            row = campaign.run(number, random.Random(f"{arguments.seed} {number}"))
            all_good &= row["same"] and row["nothing_left_to_do"] and row["left"] == 0
            append_row("chaos", row)
            print(*row.values(), sep="  ", flush=True)
    sys.exit(0 if all_good else 1)


class Campaign:
    """The finished clones, one for each number of training processes, and what undisturbed runs end with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.finished: dict[int, Clone] = {}
        self.undisturbed: dict[tuple[int, int], tuple[dict[str, str], float]] = {}

    def finish(self, processes: int) -> Clone:
        """Return the finished clone that trains with so many processes; runs only copy it."""
        if processes not in self.finished:
            clone = make_interruptible(Clone.create(self.folder / f"{processes} processes"))
            clone.configure_profile(train_processes=processes)
            clone.repro()
            clone.commit("run")
            self.finished[processes] = clone
        return self.finished[processes]

    def copy(self, processes: int, name: str) -> Clone:
        """Return a copy of a finished clone."""
        return self.finish(processes).copy(self.folder / name)

    def run_undisturbed(self, processes: int, change: int) -> tuple[dict[str, str], float]:
        """Return the hashes of the outputs after a run without a fault, and its seconds."""
        key = processes, change
        if key not in self.undisturbed:
            clone = self.copy(processes, "undisturbed")
            clone.set_params(**CHANGES[change])
            started = time.monotonic()
            clone.repro()
            self.undisturbed[key] = hash_outputs(clone), time.monotonic() - started
            shutil.rmtree(clone.root)
        return self.undisturbed[key]

    def run(self, number: int, generator: random.Random) -> dict[str, Any]:
        """Disturb a run, repair it, and return its row of the table."""
        name = list(FAULTS)[number % len(FAULTS)]
        processes = 2 if name.endswith("rank") else 1
        change = 1 if processes == 2 else generator.randrange(len(CHANGES))
        links = LINK_TYPES[number % len(LINK_TYPES)]
        expected, seconds = self.run_undisturbed(processes, change)
        started = 0.0

        def make_clone() -> Clone:
            nonlocal started
            clone = self.copy(processes, f"run {number}")
            # On a file system without reflinks DVC uses the next type.
            clone.dvc("config", "cache.type", f"{links},copy")
            clone.dvc("checkout", "--relink")
            clone.set_params(**CHANGES[change])
            started = time.monotonic()
            return clone

        clone, moment = cause_fault(name, make_clone, generator, seconds)
        tries = repro_until_success(clone)
        row = {
            "run": number,
            "fault": name,
            "moment": moment,
            "links": links,
            "changed": " ".join(f"{key}={value}" for key, value in CHANGES[change].items()),
            "repros": tries,
            "same": hash_outputs(clone) == expected,
            "nothing_left_to_do": clone.repro() == [],
            "left": len(find_processes(clone)),
            "seconds": round(time.monotonic() - started),
        }
        shutil.rmtree(clone.root)
        return row


if __name__ == "__main__":
    main()
