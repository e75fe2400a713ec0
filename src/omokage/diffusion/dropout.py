"""Dropout without state: which activations are dropped is a function of the picture's key, the layer and the place.

So it depends neither on how a batch is split between steps, processes and devices, nor on a global generator.
"""

import torch
from torch import Tensor, nn

# Odd constants and shifts of a good 32-bit mixing function (Wellons 2018, "lowbias32").
FIRST, SECOND = 0x7FEB352D, 0x846CA68B - 2**32


def _mixed(z: Tensor) -> Tensor:
    """Scramble the bits of int32; a logical shift is an arithmetic one with the sign's copies masked off."""
    for shift, factor in ((16, FIRST), (15, SECOND)):
        z = (z ^ ((z >> shift) & (2 ** (32 - shift) - 1))) * factor
    return z ^ ((z >> 16) & 0xFFFF)


class Dropout(nn.Module):
    """Set activations to zero with probability `p` and scale the others up (Srivastava et al. 2014)."""

    def __init__(self, p: float, layer: int) -> None:
        super().__init__()
        self.p, self.layer = p, layer

    def forward(self, x: Tensor, keys: Tensor | None) -> Tensor:
        """x [n, ...] and a key [n], int32, for each picture; without keys nothing is dropped."""
        if keys is None or self.p == 0:
            return x
        # Not scaled: Triton's compiler folds factors of an index into constants that no longer fit into 32 bits.
        places = torch.arange(x[0].numel(), device=x.device, dtype=torch.int32)
        random = _mixed(_mixed(keys + self.layer)[:, None] + places)
        kept = random >= round(-(2**31) + self.p * 2**32)
        return x * kept.view(x.shape) / (1 - self.p)
