"""How well a network denoises: noise level by noise level, and over all of them while it is being trained."""

import torch
from torch import Tensor

from omokage.device import memory_format
from omokage.diffusion.random import generator
from omokage.diffusion.unet import UNet
from omokage.model import Spec
from omokage.training.batches import stratified_steps
from omokage.training.loop import Machine, Probe, loss_at


@torch.no_grad()
def loss_by_noise(
    network: UNet, spec: Spec, faces: Tensor, device: torch.device, levels: int, seed: int
) -> list[float]:
    """Return the network's mean squared error on uint8 faces at `levels` steps evenly spread over the schedule."""
    at, x0 = spec.noise_schedule().on(device), spec.whiten(faces).to(device)
    errors = []
    for level in noise_levels(spec.timesteps, levels):
        noise = torch.randn(x0.shape, generator=generator(seed, "noise level", level)).to(device)
        t = torch.full((len(x0),), level, device=device)
        errors.append(float(loss_at(network, spec.prediction, at, x0, noise, t).mean()))
    return errors


def held_out_loss(spec: Spec, faces: Tensor, machine: Machine, seed: int) -> Probe:
    """Return a function that says a network's mean squared error on uint8 faces.

    Their noise and noise levels, spread evenly over the schedule, are the same whenever it is asked.
    """
    source, layout = generator(seed, "held-out loss"), memory_format(machine.device)
    t = stratified_steps(len(faces), spec.timesteps, source).to(machine.device)
    at, white = spec.noise_schedule().on(machine.device), spec.whiten(faces)
    noise = torch.randn(white.shape, generator=source).to(machine.device, memory_format=layout)
    x0 = white.to(machine.device, memory_format=layout)

    @torch.no_grad()
    def probe(network: UNet) -> float:
        with torch.autocast(machine.device.type, machine.dtype, enabled=machine.dtype != torch.float32):
            return float(loss_at(network, spec.prediction, at, x0, noise, t).mean())

    return probe


def noise_levels(timesteps: int, levels: int) -> list[int]:
    """Return `levels` steps, the middles of equal parts of the schedule."""
    return [(2 * level + 1) * timesteps // (2 * levels) for level in range(levels)]
