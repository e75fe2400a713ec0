"""Stateless dropout: which activations are dropped is a function of the image's key, the layer and the position.

So the result does not depend on how a batch is split into micro-batches, or between processes.
"""

import torch
from torch import Tensor, nn

# Multipliers of the 32-bit integer hash "lowbias32" (Wellons 2018). The second is written as a signed number.
MULTIPLIER_1, MULTIPLIER_2 = 0x7FEB352D, 0x846CA68B - 2**32


def _hash_int32(z: Tensor) -> Tensor:
    """Return the lowbias32 hash of each int32 value.

    The hash needs logical right shifts. PyTorch's right shift of int32 copies the sign bit, so the copied bits are
    masked off.
    """
    for shift, multiplier in ((16, MULTIPLIER_1), (15, MULTIPLIER_2)):
        z = (z ^ ((z >> shift) & (2 ** (32 - shift) - 1))) * multiplier
    return z ^ ((z >> 16) & 0xFFFF)


class Dropout(nn.Module):
    """Set activations to zero with probability `p` and scale the others by 1 / (1 - p) (Srivastava et al. 2014).

    `layer` is the number of the layer in the network, so that layers drop different activations.
    """

    def __init__(self, p: float, layer: int) -> None:
        super().__init__()
        self.p, self.layer = p, layer

    def forward(self, x: Tensor, keys: Tensor | None) -> Tensor:
        """Return x [n, ...] with dropout. `keys` [n] has one int32 key per image; without keys, x is unchanged."""
        if keys is None or self.p == 0:
            return x
        # Positions are not multiplied by a constant before hashing: Triton's compiler would fold the constant into an
        # index that overflows 32 bits.
        positions = torch.arange(x[0].numel(), device=x.device, dtype=torch.int32)
        random = _hash_int32(_hash_int32(keys + self.layer)[:, None] + positions)
        is_kept = random >= round(-(2**31) + self.p * 2**32)
        return x * is_kept.view(x.shape) / (1 - self.p)
