"""Measure a network's error on faces: averaged over the noise levels during training, by noise level at the end."""

import csv
from pathlib import Path

import torch
from torch import Tensor

from omokage.compute.device import choose_memory_format, mixed_precision
from omokage.compute.seeding import make_generator
from omokage.diffusion.model import ModelSpec
from omokage.diffusion.unet import UNet
from omokage.training.batches import sample_stratified_timesteps
from omokage.training.config import ComputeConfig
from omokage.training.trainer import Probe, compute_loss

NOISE_LEVELS, FACES_PER_LEVEL = 12, 96


@torch.no_grad()
def measure_loss_by_noise_level(
    network: UNet, spec: ModelSpec, faces: Tensor, device: torch.device, levels: int, seed: int
) -> list[float]:
    """Return the network's mean squared error at each of `levels` evenly spread timesteps.

    `faces` are uint8 [n, 3, h, w].
    """
    schedule, x0 = spec.make_schedule().to(device), spec.whiten(faces).to(device)
    errors = []
    for timestep in choose_timesteps(spec.timesteps, levels):
        noise = torch.randn(x0.shape, generator=make_generator(seed, "noise level", timestep)).to(device)
        t = torch.full((len(x0),), timestep, device=device)
        errors.append(float(compute_loss(network, spec.prediction, schedule, x0, noise, t).mean()))
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
            return float(compute_loss(network, spec.prediction, schedule, x0, noise, t).mean())

    return probe


def choose_timesteps(timesteps: int, levels: int) -> list[int]:
    """Return `levels` evenly spread timesteps: the middles of equal parts of the schedule."""
    return [(2 * level + 1) * timesteps // (2 * levels) for level in range(levels)]


def write_noise_levels(
    path: Path, network: UNet, spec: ModelSpec, faces: list[Tensor], device: torch.device, seed: int
) -> None:
    """Write the network's error by noise level to a CSV file, with one row per noise level.

    `faces` are the training set and the held-out set, uint8 [n, 3, h, w] each. The error is measured on the first
    FACES_PER_LEVEL faces of each.
    """
    log_snr = spec.make_schedule().log_snr
    errors = [
        measure_loss_by_noise_level(network, spec, split[:FACES_PER_LEVEL], device, NOISE_LEVELS, seed)
        for split in faces
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["t", "log_snr", "train", "held_out"])
        timesteps = choose_timesteps(spec.timesteps, NOISE_LEVELS)
        for t, train_error, held_out_error in zip(timesteps, *errors, strict=True):
            writer.writerow([t, f"{float(log_snr[t]):.4f}", f"{train_error:.6g}", f"{held_out_error:.6g}"])
