"""Keep the EMA weights with the lowest held-out error of a training run."""

import math
from dataclasses import dataclass, field

from torch import Tensor

from omokage.diffusion.unet import UNet


@dataclass
class BestEma:
    """The EMA weights with the lowest error so far, and the step after which it was measured; empty at first."""

    step: int = 0
    error: float = math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)

    def update(self, step: int, error: float, network: UNet) -> None:
        """Keep a copy of the weights of the EMA `network` if its held-out error is lower than all before."""
        if error < self.error:
            self.step, self.error = step, error
            self.weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
