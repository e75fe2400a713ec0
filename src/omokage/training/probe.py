"""How well a network denoises, noise level by noise level."""

import torch
from torch import Tensor

from omokage.diffusion.random import generator
from omokage.diffusion.unet import UNet
from omokage.model import Spec
from omokage.training.loop import loss_at


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


def noise_levels(timesteps: int, levels: int) -> list[int]:
    """Return `levels` steps, the middles of equal parts of the schedule."""
    return [(2 * level + 1) * timesteps // (2 * levels) for level in range(levels)]
