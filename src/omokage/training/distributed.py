"""The processes that train together under torchrun. Without torchrun there is a single process."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class ProcessGroup:
    """The rank of this process and the number of processes.

    Up to rounding, training has the same result with any number of processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: torch.device) -> "ProcessGroup":
        """Join the process group that torchrun's environment variables describe, and return it."""
        rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if size > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(rank, size)

    def get_slice(self, count: int) -> slice:
        """Return the slice of a batch of `count` images that this process computes."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def all_reduce(self, value: Tensor) -> Tensor:
        """Replace `value` by its sum over all processes, and return it."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def all_reduce_gradients(self, gradients: list[Tensor]) -> None:
        """Replace the gradients by their sums over all processes, with a single all-reduce."""
        if self.size > 1:
            flat = self.all_reduce(torch.cat([gradient.flatten() for gradient in gradients]))
            for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))
