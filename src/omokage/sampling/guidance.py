"""Autoguidance: guidance without labels, by extrapolating away from the prediction of a worse network.

Source: Karras et al. 2024, "Guiding a diffusion model with a bad version of itself".
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from omokage.diffusion.model import ModelSpec, copy_with_weights
from omokage.diffusion.unet import UNet
from omokage.sampling.denoiser import Denoiser, make_denoiser


def apply_autoguidance(denoiser: Denoiser, guiding: Denoiser, scale: float) -> Denoiser:
    """Return a denoiser that predicts p_guiding + scale * (p - p_guiding) (eq. 3).

    Here p is the prediction of `denoiser`, and p_guiding the prediction of `guiding`. At scale 1 the result is p. A
    scale above 1 reduces the errors of p that are larger in p_guiding. Both denoisers must have the same kind of
    prediction and the same schedule. Any kind (eps, x0 or v) may be used, since each is linear in the clean image.
    """

    def predict(x: Tensor, angle: Tensor) -> Tensor:
        worse = guiding.network(x, angle)
        return worse + scale * (denoiser.network(x, angle) - worse)

    return replace(denoiser, network=predict)


def make_guided_denoiser(
    network: UNet,
    guiding_weights: Mapping[str, Tensor],
    scale: float,
    spec: ModelSpec,
    device: torch.device,
    compiled: bool = False,
) -> Denoiser:
    """Return the denoiser of `network` with autoguidance by the factor `scale`.

    The guiding network is a copy of `network` with `guiding_weights`, the weights of an earlier training snapshot.
    """
    guiding = make_denoiser(copy_with_weights(network, guiding_weights), spec, device, compiled)
    return apply_autoguidance(make_denoiser(network, spec, device, compiled), guiding, scale)
