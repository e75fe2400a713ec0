"""A trained network as the samplers want it."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from omokage.device import compute_dtype
from omokage.diffusion.guidance import guided
from omokage.diffusion.samplers import Denoiser, Network
from omokage.diffusion.unet import UNet
from omokage.model import Spec, exchange_weights


def denoiser(
    network: UNet,
    spec: Spec,
    device: torch.device,
    guidance: float = 1.0,
    earlier: Mapping[str, Tensor] | None = None,
) -> Denoiser:
    """Return the network with its schedule and the limits of a picture in its space, computing as the spec says.

    With the weights that it had `earlier` in its training, it is guided away from them.
    """
    say = _autocast(network, spec, device)
    if earlier is not None:
        worse = copy.deepcopy(network)
        exchange_weights(worse, earlier)
        say = guided(say, _autocast(worse, spec, device), guidance)
    size = spec.architecture.image_size
    black = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=device)
    return Denoiser(say, spec.prediction, spec.noise_schedule(), spec.whiten(black), spec.whiten(black + 255))


def _autocast(network: UNet, spec: Spec, device: torch.device) -> Network:
    dtype = compute_dtype(spec.precision, device)

    def say(x: Tensor, angle: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            said: Tensor = network(x, angle)
            return said

    return say
