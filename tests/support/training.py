"""A tiny data set and model, and a training run of about a second."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omokage.compute.seeding import make_generator
from omokage.diffusion.model import ModelSpec, compute_whitening
from omokage.diffusion.unet import Architecture, UNet
from omokage.training import loop
from omokage.training.config import ComputeConfig, TrainingConfig
from omokage.training.trainer import Probe, Row, TrainingResult

CPU = torch.device("cpu")
COMPUTE = ComputeConfig(CPU, torch.float32)


def make_faces(count: int = 24) -> Tensor:
    """Return images, uint8 [count, 3, 16, 16], of four random colours each: simple enough to learn in a few steps."""
    colours = torch.randint(0, 256, (count, 3, 2, 2), dtype=torch.uint8, generator=make_generator(0, "faces"))
    return colours.repeat_interleave(8, -1).repeat_interleave(8, -2)


def make_spec(dropout: float = 0.1, prediction: str = "v", half_size_input: bool = False) -> ModelSpec:
    """Return the spec of a model for `make_faces`: two UNet levels, patches of 2 pixels, and attention."""
    mean, std = compute_whitening([make_faces()])
    architecture = Architecture(
        image_size=16,
        model_channels=16,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_resolutions=(4,),
        dropout=dropout,
        patch_size=2,
        half_size_input=half_size_input,
    )
    return ModelSpec(architecture, prediction, "cosine", 50, False, 0.0, "fp32", mean, std)


def make_config(**changes: Any) -> TrainingConfig:
    """Return hyperparameters for twelve steps of eight images, with `changes`."""
    values: dict[str, Any] = {"lr": 1e-3, "warmup": 0.1, "decay": 0.5, "batch_size": 8, "steps": 12}
    values |= {"optimiser": "muon", "loss_weighting": "simple", "min_snr_gamma": 5.0, "loss_weight_floor": 0.0}
    values |= {"ema_half_life": 32.0, "grad_clip": 1.0, "flip": True, "seed": 0, "log_every": 3, "keep_best": False}
    return TrainingConfig(**{**values, **changes})


def train_tiny(
    work: Path,
    log: Callable[[Row], Any] = lambda row: None,
    compute: ComputeConfig = COMPUTE,
    probe: Probe | None = None,
    weights: Mapping[str, Tensor] | None = None,
    **changes: Any,
) -> TrainingResult:
    """Train the tiny model on `make_faces`, with `changes` of the hyperparameters; see loop.train."""
    return loop.train(make_faces(), make_spec(), make_config(**changes), compute, work, log, probe, weights)


def have_same_weights(first: UNet, second: UNet) -> bool:
    """Return whether two networks have equal tensors."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def compute_relative_distance(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Return the norm of the difference of two models' weights, divided by the norm of the first."""
    difference = sum(float((first[key] - second[key]).double().square().sum()) for key in first)
    return float((difference / sum(float(value.double().square().sum()) for value in first.values())) ** 0.5)
