"""Whether a device makes the same bytes again, however they are made: run it several times and compare what it prints.

    python benchmarks/repeatable.py train WORK [--stop STEP] [--how itself|compiled|parts]
    python benchmarks/repeatable.py draw WORK UNIT [UNIT ...]

`train` takes 24 steps of a small network on made-up pictures. With --stop it gets SIGTERM after that step; the same
command without it goes on in the same WORK. `draw` draws those units of 384 pictures, in that order, compiled where the
device compiles. With another TORCHINDUCTOR_CACHE_DIR kernels are compiled anew.
"""

import argparse
import os
import signal
from collections.abc import Iterable
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from bench import ROOT, ours
from torch import Tensor

from omokage import model, posthoc
from omokage.device import compute_dtype, prepare
from omokage.diffusion.unet import UNet
from omokage.errors import Interrupted
from omokage.job import Job
from omokage.params import sample as sample_params
from omokage.params import whole
from omokage.stages import sample
from omokage.training import loop

PRESET = ROOT / "workflow" / "presets" / "laptop.yaml"
SMALL = {"multipliers": [1, 2], "blocks": 1, "attention": [8]}
TRAINING = {**SMALL, "steps": 24, "width": 32, "dropout": 0.1, "log_every": 1}
DRAWING = {**SMALL, "width": 48, "samples": 384, "progress_samples": 0}


def hashed(tensors: Iterable[Tensor]) -> str:
    """Return the beginning of the SHA-256 of the tensors' bytes."""
    return sha256(b"".join(tensor.cpu().contiguous().numpy().tobytes() for tensor in tensors)).hexdigest()[:16]


def made_up(changes: dict[str, Any]) -> tuple[whole.Params, Tensor]:
    """Return the laptop preset with changes, and 500 pictures of noise."""
    source = torch.Generator().manual_seed(0)
    faces = torch.randint(0, 256, (500, 3, 32, 32), dtype=torch.uint8, generator=source)
    return whole.check({**whole.load(PRESET), **changes}), faces


def train(work: Path, stop: int | None, how: str) -> str:
    """Return the hashes of the averaged weights and of the snapshots."""
    device = prepare(threads=4)
    compiled = patch.object(loop, "fastest", lambda network, device, replayed: torch.compile(network))
    p, faces = made_up(TRAINING)
    machine = loop.Machine(device, compute_dtype("bf16", device), micro_batch=32 if how == "parts" else None)

    def log(row: loop.Row) -> None:
        if row["step"] == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        with compiled if how == "compiled" else nullcontext():
            trained = loop.train(faces, *ours(p, faces), machine, work, log)
    except Interrupted as said:
        return str(said)
    average = (weight.detach() for weight in trained.network.parameters())
    return f"{hashed(average)} {hashed(weight for kept in trained.snapshots for weight in kept.weights.values())}"


def draw(work: Path, units: list[int]) -> str:
    """Return the hashes of the units' pictures."""
    p, faces = made_up(DRAWING)
    spec, _ = ours(p, faces)
    source = torch.Generator().manual_seed(1)

    def network(scale: float) -> UNet:
        # As new it would say nothing.
        made = loop.new_network(spec, 0)
        with torch.no_grad():
            for weight in made.parameters():
                weight.add_(scale * torch.randn(weight.shape, generator=source))
        return made

    work.mkdir(parents=True, exist_ok=True)
    model.save(work / "model.safetensors", network(0.02), spec)
    early = network(0.03).state_dict()
    kept = [
        posthoc.Snapshot(step, length, {name: tensor.half() for name, tensor in early.items()})
        for step in (100, 200)
        for length in posthoc.LENGTHS
    ]
    posthoc.save(work / "snapshots.safetensors", kept)
    sample.MANY = 1
    inputs = {f"results/{name}.safetensors": work / f"{name}.safetensors" for name in ("model", "snapshots")}
    params = sample_params.Params(**{key: getattr(p, key) for key in sample_params.Params.model_fields})
    artist = sample.Artist(Job(params, inputs, {}, work / "units", threads=4))
    return " ".join(f"{unit}: {hashed([artist.unit('samples', unit)['samples']])}" for unit in units)


def main() -> None:
    """Train or draw, and print hashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    training, drawing = kinds.add_parser("train"), kinds.add_parser("draw")
    for kind in (training, drawing):
        kind.add_argument("work", type=Path)
    training.add_argument("--stop", type=int)
    training.add_argument("--how", choices=["itself", "compiled", "parts"], default="itself")
    drawing.add_argument("units", type=int, nargs="+")
    chosen = parser.parse_args()
    if chosen.kind == "train":
        print(train(chosen.work, chosen.stop, chosen.how))
    else:
        print(draw(chosen.work, chosen.units))


if __name__ == "__main__":
    main()
