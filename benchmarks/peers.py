"""Train this project or a peer library for a given time, and score its samples.

    PYTHONPATH=src .venv/bin/python benchmarks/peers.py LIBRARY --minutes 4 [--lr 1e-3] [--preset folder-64]
    PYTHONPATH=src .venv/bin/python benchmarks/peers.py LIBRARY --minutes 40 --steps 1909 --threads 1
    PYTHONPATH=src .venv/bin/python benchmarks/peers.py --table

LIBRARY is omokage, denoising-diffusion-pytorch or diffusers; the peers are installed into a venv of the benchmark.
They train with the batches, precision and flips of the preset, on its images or those of --source. The number of steps
that fit into the minutes is measured before the training, so start it on an idle machine. A run may be paused (SIGSTOP,
SIGCONT): its speed is that of the median step.

With --steps nothing is measured first, so other work may run at the same time; then the speed is not comparable. Such a
run resumes after SIGTERM when the same command is run again. With --data, and the peers installed, neither DVC nor a
network connection is needed; images other than avatars are then named after the folder of their checkout. Every run
appends a row to results/peers.csv; --table prints the medians of all rows.
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

import pandas as pd
import torch
from benchmark_models import NFE, BenchmarkModel, alpha_and_sigma
from common import (
    DEVICE,
    RESULTS,
    ROOT,
    WORK,
    Stopwatch,
    append_row,
    count_weights,
    load_preset,
    prepare_clone,
    read_splits,
    score_samples,
)
from torch import Tensor

from omokage.base.files import hash_tree
from omokage.compute.device import prepare_device
from omokage.compute.seeding import make_generator
from omokage.params.schema import Params
from omokage.pipeline.code import hash_code
from omokage.training.checkpoint import load_checkpoint, save_checkpoint
from omokage.training.loop import CHECKPOINT_SECONDS, catch_sigterm

VENV = WORK / "peers"
LOG_SNRS = (-6.0, -3.0, 0.0, 3.0, 6.0)  # noise levels at which the error in x0 is measured
FACES_PER_LEVEL = 128


def enter_venv() -> None:
    """Continue in a venv that has this one's packages and those of peers.txt, if the peers are not installed."""
    if Path(sys.prefix) == VENV or find_spec("denoising_diffusion_pytorch"):
        return
    python = VENV / "bin" / "python"
    if not python.exists():
        venv.create(VENV)
        site = next(VENV.glob("lib/*/site-packages"))
        (site / "project.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
        packages = Path(__file__).with_suffix(".txt")
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "pip", "install", "--python", python, "--no-deps", "-r", packages], check=True)
    os.execv(python, [str(python), *sys.argv])


def run(args: argparse.Namespace) -> None:
    """Train one library's model, score it, and append a row."""
    from peer_libraries import MODELS

    library = args.library
    prepare_device(args.threads)
    p = load_preset(args.preset, {"seed": args.seed, **({"precision": args.precision} if args.precision else {})})
    data = args.data or prepare_clone(f"speedrun-{args.preset}", p, args.source)
    faces, held_out = read_splits(data)
    uses_avatars = json.loads((data / "manifest.json").read_text(encoding="utf-8"))["source"] == "avatars"
    lr = args.lr or (p.lr if library == "omokage" else 1e-4)
    steps = args.steps
    if steps is None:
        steps = count_steps(args.minutes, MODELS[library](faces, 100, lr, args.seed, p).step)
    model = MODELS[library](faces, steps, lr, args.seed, p)
    work = find_work_folder(args, steps, lr, p, data)
    seconds = train(model, steps, work)

    with torch.inference_mode():
        errors = measure_errors(model, held_out[:FACES_PER_LEVEL])
        stopwatch = Stopwatch()
        samples = model.sample(args.samples)
        sampling_seconds = stopwatch.seconds()
    row = {
        "contestant": library,
        "faces": "avatars" if uses_avatars else data.resolve().parent.name,
        "image_size": p.image_size,
        "precision": p.precision,
        "batch_size": model.batch_size,
        "parameters": count_weights(model.network),
        "lr": lr,
        "seed": args.seed,
        "threads": args.threads,
        "minutes": args.minutes,
        "seconds": round(sum(seconds), 1),
        "pictures": steps * model.batch_size,
        "pictures_a_second": round(model.batch_size / median(seconds), 1),
        "evaluations_a_second": round(args.samples * NFE / sampling_seconds, 1),
        **score_samples(samples, data),
        **errors,
    }
    append_row("peers", row)
    shutil.rmtree(work, ignore_errors=True)


def find_work_folder(args: argparse.Namespace, steps: int, lr: float, p: Params, data: Path) -> Path:
    """Return the folder of the run's checkpoints, which is named after the hash of its arguments, data and code."""
    scripts = ("common", "benchmark_models", "peer_libraries")
    code = [hash_tree(Path(__file__).with_name(f"{name}.py")) for name in scripts]
    code.append(hash_code(ROOT, "src"))
    identity = [args.library, steps, lr, args.threads, p.values(), hash_tree(data / "faces"), code]
    return WORK / "peer-checkpoints" / sha256(json.dumps(identity).encode()).hexdigest()[:16]


def train(model: BenchmarkModel, steps: int, work: Path) -> list[float]:
    """Train up to `steps`, from the last checkpoint in `work` if there is one; return the seconds of every step."""
    seconds: list[float] = []
    if state := load_checkpoint(work):
        model.load_state_dict(state["model"])
        seconds = state["seconds"]
    last_save = time.monotonic()
    with catch_sigterm() as stop:
        while len(seconds) < steps:
            start = time.monotonic()
            model.step()
            seconds.append(time.monotonic() - start)
            is_stopping = stop()
            if is_stopping or start - last_save > CHECKPOINT_SECONDS:
                save_checkpoint(work, len(seconds), {"model": model.state_dict(), "seconds": seconds})
                last_save = time.monotonic()
            if is_stopping:
                sys.exit(f"stopped after step {len(seconds)}: run the same command with --steps {steps} to resume")
    return seconds


def measure_errors(model: BenchmarkModel, faces: Tensor) -> dict[str, float]:
    """Return the mean squared errors in x0 and in eps on uint8 faces, at each of LOG_SNRS."""
    errors = {}
    x0 = faces.to(DEVICE).float() / 127.5 - 1
    for number, log_snr in enumerate(LOG_SNRS):
        alpha, sigma = alpha_and_sigma(log_snr)
        noise = torch.randn(x0.shape, generator=make_generator(0, "benchmark noise", number)).to(DEVICE)
        prediction = model.denoise(alpha * x0 + sigma * noise, log_snr)
        error = float((prediction - x0).square().mean())
        errors[f"x0_error_{log_snr:g}"] = round(error, 5)
        errors[f"eps_error_{log_snr:g}"] = round(error * math.exp(log_snr), 5)
    return errors


def count_steps(minutes: float, step: Callable[[], None]) -> int:
    """Return how many steps fit into the minutes; the schedule of the learning rate depends on it."""
    for number in range(12):
        if number == 2:  # the first steps are slower
            start = time.monotonic()
        step()
    return round(minutes * 60 / (time.monotonic() - start) * 10)


def print_table() -> None:
    """Print the median of each library's runs, and the spread of their distances."""
    runs = pd.read_csv(RESULTS / "peers.csv")
    grouped = runs.groupby(["machine", "faces", "image_size", "minutes", "contestant", "lr"])
    table = grouped[["pictures_a_second", "evaluations_a_second", "distance", "floor"]].median()
    table["spread"] = grouped["distance"].max() - grouped["distance"].min()
    print(table.assign(runs=grouped.size()).round(1).to_string())


def main() -> None:
    """Make one run, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", nargs="?", choices=["omokage", "denoising-diffusion-pytorch", "diffusers"])
    parser.add_argument("--minutes", type=float, default=4, help="of training (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="training steps (default: as many as fit into the minutes)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument(
        "--lr", type=float, help="learning rate (default: our preset's, or that of the peers' examples)"
    )
    parser.add_argument("--preset", default="laptop", help="our parameters (default: %(default)s)")
    parser.add_argument("--precision", help="fp32 or bf16 (default: the preset's)")
    images = parser.add_mutually_exclusive_group()
    images.add_argument("--source", type=Path, help="folder or zip of images (default: as the preset says)")
    images.add_argument("--data", type=Path, help="data folder of a checkout after `dvc repro reference`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=500, help="number of samples to score (default: %(default)s)")
    parser.add_argument("--table", action="store_true", help="print the medians of all rows")
    args = parser.parse_args()
    if args.table:
        print_table()
    elif args.library is None:
        parser.error("name a library, or ask for the --table")
    else:
        enter_venv()
        run(args)


if __name__ == "__main__":
    main()
