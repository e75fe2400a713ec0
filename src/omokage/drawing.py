"""A trained network as the samplers want it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from omokage.device import compute_dtype, fastest
from omokage.diffusion.guidance import guided
from omokage.diffusion.samplers import Denoiser
from omokage.diffusion.unet import UNet
from omokage.model import Spec, with_weights


def denoiser(network: UNet, spec: Spec, device: torch.device, many: bool = False) -> Denoiser:
    """Return the network with its schedule and the limits of a picture in its space, computing as the spec says.

    For `many` evaluations of equal shape it is worth a minute to have it run as fast as the device can.
    """
    dtype, size = compute_dtype(spec.precision, device), spec.architecture.image_size
    run = fastest(network, device) if many else network

    def say(x: Tensor, angle: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            said: Tensor = run(x, angle)
            return said

    black = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=device)
    return Denoiser(say, spec.prediction, spec.noise_schedule(), spec.whiten(black), spec.whiten(black + 255))


def guided_denoiser(
    network: UNet, earlier: Mapping[str, Tensor], guidance: float, spec: Spec, device: torch.device, many: bool = False
) -> Denoiser:
    """Return the same, `guidance` times as far from what the network said with its `earlier` weights."""
    guide = denoiser(with_weights(network, earlier), spec, device, many)
    return guided(denoiser(network, spec, device, many), guide, guidance)
