"""Guidance without labels: away from what a worse network would say.

"Guiding a diffusion model with a bad version of itself", Karras et al. 2024.
"""

from torch import Tensor

from omokage.diffusion.samplers import Network


def guided(network: Network, guide: Network, guidance: float) -> Network:
    """Return a network that goes `guidance` times as far from what `guide` says as `network` does (their eq. 3).

    At 1 it is `network`; above, it undoes errors of `network` that are stronger in `guide`. Every prediction is linear
    in the clean picture, so it does not matter which of them the two make.
    """

    def say(x: Tensor, angle: Tensor) -> Tensor:
        worse = guide(x, angle)
        return worse + guidance * (network(x, angle) - worse)

    return say
