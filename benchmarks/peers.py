"""This project and its peers: trained for as long, one after the other, and judged alike.

    python benchmarks/peers.py CONTESTANT --minutes 4 [--lr 1e-3] [--on FOLDER_OR_ZIP] [--seed 0] [--samples 500]
    python benchmarks/peers.py CONTESTANT --minutes 40 --steps 1909 --threads 1
    python benchmarks/peers.py --table

CONTESTANT is omokage, denoising-diffusion-pytorch or diffusers, which are installed into a venv of the benchmark's own;
without --on they learn the avatars of this checkout. How many steps the minutes hold is measured before the training:
start it on a quiet machine. Later it may be stopped and continued (SIGSTOP, SIGCONT): the speed is that of the median
step. With --steps, as many as a quiet machine does in these minutes, it can learn beside other work (what it then draws
says as much, its speed nothing) and, once ended, goes on where it was when the same command is run again. With peers
that are installed already, and --data, the `data` folder of a checkout, it needs neither DVC nor the network. Every run
appends a row to results/peers.csv; --table shows the medians of all rows and their spread.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pandas as pd
import torch
from bench import DEVICE, RESULTS, ROOT, Clock, Judge, faces_of, note

from omokage.data import shards
from omokage.device import prepare
from omokage.diffusion.random import generator
from omokage.params import whole
from omokage.pipeline import digest
from omokage.training import checkpoint
from omokage.training.loop import CHECKPOINT_SECONDS, asked_to_stop

if TYPE_CHECKING:
    from contestants import Contestant

HOME = ROOT / ".dvc" / "tmp" / "benchmarks" / "peers"
LEVELS = (-6.0, -3.0, 0.0, 3.0, 6.0)
JUDGED = 128


def go_home() -> None:
    """Go on in a venv that has this one's packages and those of peers.txt."""
    if Path(sys.prefix) == HOME or find_spec("denoising_diffusion_pytorch"):
        return
    python = HOME / "bin" / "python"
    if not python.exists():
        venv.create(HOME)
        site = next(HOME.glob("lib/*/site-packages"))
        (site / "project.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
        wanted = Path(__file__).with_suffix(".txt")
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "pip", "install", "--python", python, "--no-deps", "-r", wanted], check=True)
    os.execv(python, [str(python), *sys.argv])


def compete(asked: argparse.Namespace) -> None:
    """Train one contestant, judge it, and note a row."""
    from contestants import CONTESTANTS, Contestant, scales

    name, steps = asked.contestant, asked.steps
    prepare(asked.threads)
    data = asked.data or faces_of(asked.on)
    faces, held_out = (shards.read(data / "faces", split) for split in ("train", "held_out"))
    preset = whole.load(ROOT / "workflow" / "presets" / ("folder-32.yaml" if asked.on else "laptop.yaml"))
    p = whole.check({**preset, "seed": asked.seed})
    lr = asked.lr or (p.lr if name == "omokage" else 1e-4)
    if steps is None:
        steps = steps_within(asked.minutes, CONTESTANTS[name](faces, 100, lr, asked.seed, p).step)
    contestant = CONTESTANTS[name](faces, steps, lr, asked.seed, p)
    pupils = "avatars" if asked.on is None else asked.on.stem
    code = Path(sys.modules[Contestant.__module__].__file__ or "")
    race = [name, steps, lr, asked.threads, p.values(), digest(data / "faces"), digest(code)]
    work = HOME.with_name("races") / sha256(json.dumps(race).encode()).hexdigest()[:16]
    took = train(contestant, steps, work)

    errors = {}
    with torch.inference_mode():
        x0 = held_out[:JUDGED].to(DEVICE).float() / 127.5 - 1
        for number, level in enumerate(LEVELS):
            alpha, sigma = scales(level)
            noise = torch.randn(x0.shape, generator=generator(0, "benchmark noise", number)).to(DEVICE)
            seen = contestant.denoise(alpha * x0 + sigma * noise, level)
            errors[f"x0_error_{level:g}"] = round(float((seen - x0).square().mean()), 5)
            errors[f"eps_error_{level:g}"] = round(float((seen - x0).square().mean()) * math.exp(level), 5)
        clock = Clock()
        drawn = contestant.sample(asked.samples)
        drawing = clock()
    note(
        "peers",
        {
            "contestant": name,
            "faces": pupils,
            "parameters": sum(weight.numel() for weight in contestant.network.parameters()),
            "lr": lr,
            "seed": asked.seed,
            "threads": asked.threads,
            "minutes": asked.minutes,
            "seconds": round(sum(took), 1),
            "pictures": steps * contestant.batch,
            "pictures_a_second": round(contestant.batch / median(took), 1),
            "evaluations_a_second": round(asked.samples * 50 / drawing, 1),
            **Judge(data)(drawn),
            **errors,
        },
    )
    shutil.rmtree(work, ignore_errors=True)


def train(contestant: "Contestant", steps: int, work: Path) -> list[float]:
    """Take the steps, or those that a checkpoint in `work` leaves; return the seconds of each."""
    took: list[float] = []
    if kept := checkpoint.load(work):
        contestant.restore(kept["contestant"])
        took = kept["took"]
    saved = time.monotonic()
    with asked_to_stop() as stop:
        while len(took) < steps:
            began = time.monotonic()
            contestant.step()
            took.append(time.monotonic() - began)
            ending = stop()
            if ending or began - saved > CHECKPOINT_SECONDS:
                checkpoint.save(work, len(took), {"contestant": contestant.state(), "took": took})
                saved = time.monotonic()
            if ending:
                sys.exit(f"stopped after step {len(took)}: the same command, with --steps {steps}, goes on from there")
    return took


def steps_within(minutes: float, step: Callable[[], None]) -> int:
    """Return how many steps the time allows, which decides how the learning rate falls."""
    for number in range(12):
        if number == 2:  # the first ones are slower
            began = time.monotonic()
        step()
    return round(minutes * 60 / (time.monotonic() - began) * 10)


def table() -> None:
    """Print the median of each contestant's runs, and how far they lie apart."""
    runs = pd.read_csv(RESULTS / "peers.csv")
    grouped = runs.groupby(["machine", "faces", "minutes", "contestant", "lr"])
    shown = grouped[["pictures_a_second", "evaluations_a_second", "distance", "floor"]].median()
    shown["spread"] = grouped["distance"].max() - grouped["distance"].min()
    print(shown.assign(runs=grouped.size()).round(1).to_string())


def main() -> None:
    """Run one line of the table, or show it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contestant", nargs="?", choices=["omokage", "denoising-diffusion-pytorch", "diffusers"])
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--steps", type=int, help="of training; without it, as many as the minutes hold")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lr", type=float, help="without it, that of our preset or of the peers' examples")
    parser.add_argument("--on", type=Path, help="folder or zip of pictures")
    parser.add_argument("--data", type=Path, help="where they are prepared already, after `dvc repro reference`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    if chosen.table:
        table()
    elif chosen.contestant is None:
        parser.error("name a contestant, or ask for the --table")
    else:
        go_home()
        compete(chosen)


if __name__ == "__main__":
    main()
