"""Measure a network's error on faces: averaged over the noise levels during training, by noise level at the end."""

import csv
from pathlib import Path

import torch
from torch import Tensor

from omokage.compute.device import choose_memory_format, mixed_precision
from omokage.compute.micro_batch import explain_large_batch, limit_batch
from omokage.compute.seeding import make_generator
from omokage.diffusion.model import ModelSpec
from omokage.diffusion.schedule import Schedule, ScheduleTensors
from omokage.diffusion.unet import UNet
from omokage.training.batches import sample_stratified_timesteps
from omokage.training.config import ComputeConfig
from omokage.training.trainer import Probe, compute_loss

NOISE_LEVELS, FACES_PER_LEVEL = 12, 96


@torch.no_grad()
def measure_loss_by_noise_level(
    network: UNet,
    spec: ModelSpec,
    faces: Tensor,
    device: torch.device,
    levels: int,
    seed: int,
    micro_batch: int | None = None,
) -> list[float]:
    """Return the network's mean squared error, computed in float32, at each timestep of `choose_timesteps`.

    `faces` are uint8 [n, 3, h, w], of which at most `micro_batch` are processed at once.
    """
    schedule = spec.make_schedule()
    tensors, x0 = schedule.to(device), spec.whiten(faces).to(device)
    errors = []
    for timestep in choose_timesteps(schedule, levels):
        noise = torch.randn(x0.shape, generator=make_generator(seed, "noise level", timestep)).to(device)
        t = torch.full((len(x0),), timestep, device=device)
        errors.append(_measure_error(network, spec, tensors, x0, noise, t, micro_batch))
    return errors


def make_held_out_probe(spec: ModelSpec, faces: Tensor, compute: ComputeConfig, seed: int) -> Probe:
    """Return a function that computes a network's mean squared error on `faces`, uint8 [n, 3, h, w].

    Every call uses the same noise and the same timesteps, which are spread over the schedule.
    """
    generator, layout = make_generator(seed, "held-out loss"), choose_memory_format(compute.device)
    t = sample_stratified_timesteps(len(faces), spec.timesteps, generator).to(compute.device)
    schedule, whitened = spec.make_schedule().to(compute.device), spec.whiten(faces)
    noise = torch.randn(whitened.shape, generator=generator).to(compute.device, memory_format=layout)
    x0 = whitened.to(compute.device, memory_format=layout)

    @torch.no_grad()
    def probe(network: UNet) -> float:
        with mixed_precision(compute.device, compute.dtype):
            return _measure_error(network, spec, schedule, x0, noise, t, compute.micro_batch)

    return probe


def _measure_error(
    network: UNet,
    spec: ModelSpec,
    schedule: ScheduleTensors,
    x0: Tensor,
    noise: Tensor,
    t: Tensor,
    micro_batch: int | None,
) -> float:
    """Return the mean squared error over the images x0, of which at most `micro_batch` are processed at once."""
    size = limit_batch(len(x0), micro_batch)
    with explain_large_batch("measuring the error on", size, x0.shape[-1]):
        parts = zip(x0.split(size), noise.split(size), t.split(size), strict=True)
        return float(torch.cat([compute_loss(network, spec.prediction, schedule, *part) for part in parts]).mean())


def choose_timesteps(schedule: Schedule, levels: int) -> list[int]:
    """Return at most `levels` evenly spread timesteps: the middles of equal parts of the schedule, each once.

    Pure noise has no finite log-SNR and is left out. So there are fewer than `levels` if the schedule has few
    timesteps.
    """
    middles = ((2 * level + 1) * len(schedule) // (2 * levels) for level in range(levels))
    return [t for t in dict.fromkeys(middles) if torch.isfinite(schedule.log_snr[t])]


def write_noise_levels(
    path: Path, network: UNet, spec: ModelSpec, faces: list[Tensor], compute: ComputeConfig, seed: int
) -> None:
    """Write the network's error by noise level to a CSV file, with one row per noise level.

    `faces` are the training set and the held-out set, uint8 [n, 3, h, w] each. The error is measured on the first
    FACES_PER_LEVEL faces of each.
    """
    schedule = spec.make_schedule()
    errors = [
        measure_loss_by_noise_level(
            network, spec, split[:FACES_PER_LEVEL], compute.device, NOISE_LEVELS, seed, compute.micro_batch
        )
        for split in faces
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["t", "log_snr", "train", "held_out"])
        timesteps = choose_timesteps(schedule, NOISE_LEVELS)
        for t, train_error, held_out_error in zip(timesteps, *errors, strict=True):
            writer.writerow([t, f"{float(schedule.log_snr[t]):.4f}", f"{train_error:.6g}", f"{held_out_error:.6g}"])
