"""A campaign of faults: the pipeline, tiny, disturbed again and again, has to end as if nothing had been.

    PYTHONPATH=src:tests python benchmarks/chaos.py [--runs 48] [--first 0] [--seed 0]

Each run begins from a finished clone, changes a parameter, and has `dvc repro` meet one fault of tests/faults.py at a
moment of chance; then `dvc repro` is run until it succeeds. What came out is compared, hash by hash, with a run that
nothing disturbed; no process may be left, and the next `dvc repro` must find nothing to do. Every run appends a row to
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

from bench import ROOT, note
from conftest import Clone, interruptible
from faults import FAULTS, KINDS_OF_LINKS, NotSetError, living, repaired

from omokage import pipeline

OUTS = sorted({out for stage in pipeline.read(ROOT).values() for out in stage.outs})
# From the faces on, from the training on, and from the samples on.
CHANGES: tuple[dict[str, Any], ...] = ({"held_out": 0.4}, {"lr": 1e-3}, {"sample_steps": 5})


def main() -> None:
    """Run the campaign; exit with 1 unless every run came to the right end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3 * len(FAULTS))
    parser.add_argument("--first", type=int, default=0, help="run to begin with, to go on with a campaign")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    good = True
    with TemporaryDirectory(prefix="chaos") as folder:
        campaign = Campaign(Path(folder))
        for number in range(asked.first, asked.runs):
            row = campaign.run(number, random.Random(f"{asked.seed} {number}"))
            good &= row["same"] and row["left"] == 0
            note("chaos", row)
            print(*row.values(), sep="  ", flush=True)
    sys.exit(0 if good else 1)


class Campaign:
    """Clones to begin from, with one and with two processes that train, and what undisturbed runs come to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun: dict[int, Clone] = {}
        self.undisturbed: dict[tuple[int, int], tuple[dict[str, str], float]] = {}

    def start(self, processes: int) -> Clone:
        """Return a finished clone; no run changes it."""
        if processes not in self.begun:
            clone = interruptible(Clone(self.folder / f"of {processes}"))
            profile = clone.root / "workflow" / "profiles" / "default" / "config.yaml"
            (clone.root / "several.yaml").write_text(f"train_processes: {processes}\n")
            profile.write_text(profile.read_text() + "configfile: several.yaml\n")
            clone.repro()
            clone.commit("run")
            self.begun[processes] = clone
        return self.begun[processes]

    def copy(self, processes: int, name: str) -> Clone:
        """Return a copy of a finished clone."""
        place = self.folder / name
        shutil.copytree(self.start(processes).root, place, symlinks=True)
        return Clone.at(place)

    def expected(self, processes: int, change: int) -> tuple[dict[str, str], float]:
        """Return the hashes that an undisturbed run comes to, and the seconds it takes."""
        key = processes, change
        if key not in self.undisturbed:
            clone = self.copy(processes, "undisturbed")
            clone.set(**CHANGES[change])
            began = time.monotonic()
            clone.repro()
            self.undisturbed[key] = digests(clone), time.monotonic() - began
            shutil.rmtree(clone.root)
        return self.undisturbed[key]

    def run(self, number: int, chance: random.Random) -> dict[str, Any]:
        """Disturb a run, repair it, and return what came of it."""
        name = list(FAULTS)[number % len(FAULTS)]
        processes = 2 if name.endswith("rank") else 1
        change = 1 if processes == 2 else chance.randrange(len(CHANGES))
        links = KINDS_OF_LINKS[number % len(KINDS_OF_LINKS)]
        expected, seconds = self.expected(processes, change)
        for attempt in range(5):
            clone = self.copy(processes, f"run {number}.{attempt}")
            # Where the file system has no reflinks DVC takes the next kind.
            clone.dvc("config", "cache.type", f"{links},copy")
            clone.dvc("checkout", "--relink")
            clone.set(**CHANGES[change])
            began = time.monotonic()
            try:
                told = FAULTS[name](clone, chance, seconds)
            except NotSetError as error:
                print(f"{name}: {error}; again", file=sys.stderr)
                shutil.rmtree(clone.root)
                continue
            break
        else:
            raise SystemExit(f"{name}: could not be set in five runs")
        tries = repaired(clone)
        row = {
            "run": number,
            "fault": name,
            "moment": told,
            "links": links,
            "changed": " ".join(f"{key}={value}" for key, value in CHANGES[change].items()),
            "repros": tries,
            "same": digests(clone) == expected,
            "nothing_left_to_do": clone.repro() == [],
            "left": len(living(clone)),
            "seconds": round(time.monotonic() - began),
        }
        shutil.rmtree(clone.root)
        return row


def digests(clone: Clone) -> dict[str, str]:
    """Return the hashes of all that the stages make."""
    return {out: pipeline.digest(clone.root / out) for out in OUTS}


if __name__ == "__main__":
    main()
