"""Autoguidance: guidance without labels, by extrapolating away from the prediction of a worse network.

Sources: Karras et al. 2024, "Guiding a diffusion model with a bad version of itself"; Kynkäänniemi et al. 2024,
"Applying guidance in a limited interval improves sample and distribution quality in diffusion models".
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from omokage.diffusion.model import ModelSpec, copy_with_weights
from omokage.diffusion.unet import UNet
from omokage.sampling.denoiser import Denoiser, make_denoiser


def apply_autoguidance(denoiser: Denoiser, guiding: Denoiser, scale: float, min_log_snr: float = -math.inf) -> Denoiser:
    """Return a denoiser that predicts p_guiding + scale * (p - p_guiding) (eq. 3).

    Here p is the prediction of `denoiser`, and p_guiding the prediction of `guiding`. At scale 1 the result is p. A
    scale above 1 reduces the errors of p that are larger in p_guiding. Both denoisers must have the same kind of
    prediction and the same schedule. Any kind (eps, x0 or v) may be used, since each is linear in the clean image.

    At noise levels with a log-SNR below `min_log_snr` the result is p, and the guiding network is not evaluated. There
    the overall colours are decided, and guidance can enlarge their errors. All images of a batch have one noise level.
    """
    # The noise angle is atan2(sigma, alpha), and the SNR is alpha^2 / sigma^2.
    max_angle = math.atan2(1.0, math.exp(max(min_log_snr, -1000.0) / 2))

    def predict(x: Tensor, angle: Tensor) -> Tensor:
        prediction = denoiser.network(x, angle)
        if float(angle[0]) > max_angle:
            return prediction
        worse = guiding.network(x, angle)
        return worse + scale * (prediction - worse)

    return replace(denoiser, network=predict)


def make_guided_denoiser(
    network: UNet,
    guiding_weights: Mapping[str, Tensor],
    scale: float,
    min_log_snr: float,
    spec: ModelSpec,
    device: torch.device,
    compiled: bool = False,
) -> Denoiser:
    """Return the denoiser of `network` with autoguidance by the factor `scale`, at a log-SNR of at least `min_log_snr`.

    The guiding network is a copy of `network` with `guiding_weights`, the weights of an earlier training snapshot.
    """
    guiding = make_denoiser(copy_with_weights(network, guiding_weights), spec, device, compiled)
    return apply_autoguidance(make_denoiser(network, spec, device, compiled), guiding, scale, min_log_snr)
