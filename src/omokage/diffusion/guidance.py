"""Guidance without labels: away from what a worse network would say.

"Guiding a diffusion model with a bad version of itself", Karras et al. 2024.
"""

from dataclasses import replace

from torch import Tensor

from omokage.diffusion.samplers import Denoiser


def guided(denoiser: Denoiser, guide: Denoiser, guidance: float) -> Denoiser:
    """Return a denoiser that goes `guidance` times as far from what `guide` says as `denoiser` does (their eq. 3).

    At 1 it is `denoiser`; above, it undoes errors of `denoiser` that are stronger in `guide`. Both are of the same
    prediction and schedule; every prediction is linear in the clean picture, so it does not matter which.
    """

    def say(x: Tensor, angle: Tensor) -> Tensor:
        worse = guide.network(x, angle)
        return worse + guidance * (denoiser.network(x, angle) - worse)

    return replace(denoiser, network=say)
