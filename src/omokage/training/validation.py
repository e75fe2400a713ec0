"""Measure a network's error on faces: averaged over the noise levels during training, by noise level at the end."""

import csv
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from omokage.compute.device import mixed_precision
from omokage.compute.micro_batch import explain_large_batch, limit_batch
from omokage.compute.seeding import make_generator
from omokage.diffusion.model import ModelSpec
from omokage.diffusion.schedule import Schedule
from omokage.diffusion.unet import UNet
from omokage.training.config import ComputeConfig
from omokage.training.trainer import Probe, Row, compute_loss

NOISE_LEVELS, FACES_PER_LEVEL = 12, 96


@torch.no_grad()
def measure_loss_by_noise_level(
    network: UNet, spec: ModelSpec, faces: Tensor, compute: ComputeConfig, levels: int, seed: int
) -> list[float]:
    """Return the network's mean squared error at each timestep of `choose_timesteps`.

    `faces` are uint8 [n, 3, h, w], of which at most `compute.micro_batch` are processed at once, in `compute.dtype`.
    """
    schedule = spec.make_schedule()
    tensors, x0 = schedule.to(compute.device), spec.whiten(faces).to(compute.device)
    size, errors = limit_batch(len(x0), compute.micro_batch), []
    for timestep in choose_timesteps(schedule, levels):
        noise = torch.randn(x0.shape, generator=make_generator(seed, "noise level", timestep)).to(compute.device)
        t = torch.full((len(x0),), timestep, device=compute.device)
        parts = zip(x0.split(size), noise.split(size), t.split(size), strict=True)
        with (
            explain_large_batch("measuring the error on", size, x0.shape[-1]),
            mixed_precision(compute.device, compute.dtype),
        ):
            losses = [compute_loss(network, spec.prediction, tensors, *part) for part in parts]
        errors.append(float(torch.cat(losses).mean()))
    return errors


def make_probe(spec: ModelSpec, splits: Mapping[str, Tensor], compute: ComputeConfig, seed: int) -> Probe:
    """Return a function that measures a network's mean squared error on each split, averaged over the noise levels.

    `splits` are uint8 faces [n, 3, h, w] by name, `train` and `held_out`. The faces, the noise levels and the noise are
    those of `write_noise_levels`, so a network's errors are the means of the columns of that table.
    """
    faces = select_faces(splits)

    def probe(network: UNet) -> Row:
        return {
            name: fmean(measure_loss_by_noise_level(network, spec, images, compute, NOISE_LEVELS, seed))
            for name, images in faces.items()
        }

    return probe


def select_faces(splits: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the first FACES_PER_LEVEL faces of each split, or fewer: the same number of each.

    With the same number, image i of each split gets the same noise.
    """
    count = min(FACES_PER_LEVEL, *map(len, splits.values()))
    return {name: faces[:count] for name, faces in splits.items()}


def choose_timesteps(schedule: Schedule, levels: int) -> list[int]:
    """Return at most `levels` evenly spread timesteps: the middles of equal parts of the schedule, each once.

    Pure noise has no finite log-SNR and is left out. So there are fewer than `levels` if the schedule has few
    timesteps.
    """
    middles = ((2 * level + 1) * len(schedule) // (2 * levels) for level in range(levels))
    return [t for t in dict.fromkeys(middles) if torch.isfinite(schedule.log_snr[t])]


def write_noise_levels(
    path: Path, network: UNet, spec: ModelSpec, splits: Mapping[str, Tensor], compute: ComputeConfig, seed: int
) -> None:
    """Write the network's error by noise level to a CSV file, with one row per noise level and a column per split.

    `splits` are uint8 faces [n, 3, h, w] by name, `train` and `held_out`.
    """
    schedule = spec.make_schedule()
    errors = {
        name: measure_loss_by_noise_level(network, spec, faces, compute, NOISE_LEVELS, seed)
        for name, faces in select_faces(splits).items()
    }
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["t", "log_snr", *errors])
        for t, *row in zip(choose_timesteps(schedule, NOISE_LEVELS), *errors.values(), strict=True):
            writer.writerow([t, f"{float(schedule.log_snr[t]):.4f}", *(f"{error:.6g}" for error in row)])
