"""Check that a device computes the same bytes again: run it several times and compare the hashes that it prints.

    PYTHONPATH=src .venv/bin/python benchmarks/determinism.py train WORK [--stop STEP] [--mode MODE]
    PYTHONPATH=src .venv/bin/python benchmarks/determinism.py sample WORK BATCH [BATCH ...]

`train` takes 24 steps of a small network on random images. With --stop it receives SIGTERM after that step; the same
command without --stop then resumes in the same WORK folder. MODE is how the training step runs: default, compiled
(without CUDA graphs) or micro-batches. `sample` generates these batches of 384 samples, in this order, with a compiled
network where the device supports it. With another TORCHINDUCTOR_CACHE_DIR, kernels are compiled again.
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
from common import load_preset
from torch import Tensor

from omokage.base.errors import Interrupted
from omokage.base.job import Job
from omokage.compute.device import choose_dtype, prepare_device
from omokage.diffusion import posthoc_ema
from omokage.diffusion.model import ModelSpec, save_model
from omokage.diffusion.unet import UNet
from omokage.params.sample import Params as SampleParams
from omokage.params.schema import Params
from omokage.sampling import batches
from omokage.training import loop, trainer
from omokage.training.config import ComputeConfig
from omokage.training.setup import make_configs

THREADS = 4
SMALL = {"channel_mult": [1, 2], "num_res_blocks": 1, "attention_resolutions": [8]}
TRAINING = {**SMALL, "steps": 24, "model_channels": 32, "dropout": 0.1, "log_every": 1}
SAMPLING = {**SMALL, "model_channels": 48, "samples": 384, "progress_samples": 0}
MODES = ("default", "compiled", "micro-batches")


def hash_tensors(tensors: Iterable[Tensor]) -> str:
    """Return the first 16 digits of the SHA-256 of the tensors' bytes."""
    return sha256(b"".join(tensor.cpu().contiguous().numpy().tobytes() for tensor in tensors)).hexdigest()[:16]


def make_inputs(changes: dict[str, Any]) -> tuple[Params, Tensor]:
    """Return the preset laptop-32 with some parameters changed, and 500 images of random pixels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (500, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return load_preset("laptop-32", changes), images


def train(work: Path, stop: int | None, mode: str) -> str:
    """Train, and return the hashes of the EMA weights and of the snapshots."""
    device = prepare_device(THREADS)
    compiled = patch.object(trainer, "compile_network", lambda network, device, cuda_graphs: torch.compile(network))
    p, images = make_inputs(TRAINING)
    micro_batch = 32 if mode == "micro-batches" else None
    compute = ComputeConfig(device, choose_dtype("bf16", device), micro_batch=micro_batch)

    def log(row: trainer.Row) -> None:
        if row["step"] == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        with compiled if mode == "compiled" else nullcontext():
            result = loop.train(images, *make_configs(p, images), compute, work, log)
    except Interrupted as interruption:
        return str(interruption)
    ema = (weight.detach() for weight in result.network.parameters())
    snapshots = (weight for snapshot in result.snapshots for weight in snapshot.weights.values())
    return f"{hash_tensors(ema)} {hash_tensors(snapshots)}"


def sample(work: Path, numbers: list[int]) -> str:
    """Generate batches of samples in this order, and return the hash of each."""
    p, images = make_inputs(SAMPLING)
    spec, _ = make_configs(p, images)
    work.mkdir(parents=True, exist_ok=True)
    write_model(work, spec)
    inputs = {f"results/{name}.safetensors": work / f"{name}.safetensors" for name in ("model", "snapshots")}
    params = SampleParams(**{key: getattr(p, key) for key in SampleParams.model_fields})
    with patch.object(batches, "MIN_EVALUATIONS_TO_COMPILE", 1):
        sampler = batches.BatchSampler(Job(params, inputs, {}, work / "batches", threads=THREADS))
        hashes = {number: hash_tensors([sampler.generate("samples", number)["samples"]]) for number in numbers}
    return " ".join(f"{number}: {digest}" for number, digest in hashes.items())


def write_model(work: Path, spec: ModelSpec) -> None:
    """Write model.safetensors and snapshots.safetensors with random weights."""
    generator = torch.Generator().manual_seed(1)

    def create_network(scale: float) -> UNet:
        # The initial network's output is zero for every input, so noise is added to its weights.
        network = trainer.create_network(spec, 0)
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(scale * torch.randn(weight.shape, generator=generator))
        return network

    save_model(work / "model.safetensors", create_network(0.02), spec)
    early = create_network(0.03).state_dict()
    snapshots = [
        # safetensors refuses tensors that share memory.
        posthoc_ema.Snapshot(step, sigma_rel, {name: tensor.half() for name, tensor in early.items()})
        for step in (100, 200)
        for sigma_rel in posthoc_ema.SIGMA_RELS
    ]
    posthoc_ema.save_snapshots(work / "snapshots.safetensors", snapshots)


def main() -> None:
    """Train or sample, and print the hashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training, sampling = commands.add_parser("train"), commands.add_parser("sample")
    for command in (training, sampling):
        command.add_argument("work", type=Path)
    training.add_argument("--stop", type=int, metavar="STEP")
    training.add_argument("--mode", choices=MODES, default=MODES[0])
    sampling.add_argument("batches", type=int, nargs="+", metavar="BATCH")
    args = parser.parse_args()
    if args.command == "train":
        print(train(args.work, args.stop, args.mode))
    else:
        print(sample(args.work, args.batches))


if __name__ == "__main__":
    main()
