"""The processes that train together, as torchrun started them; alone by default."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class World:
    """This process's number and how many there are. It divides the work and never decides what comes out."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: torch.device) -> "World":
        """Return the world that torchrun's environment describes, having joined it."""
        rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if size > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(rank, size)

    def share(self, count: int) -> slice:
        """Return which of `count` pictures are this process's."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of `value` over all processes."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def pool(self, gradients: list[Tensor]) -> None:
        """Replace the gradients by their sums over all processes, in one message."""
        if self.size > 1:
            together = self.total(torch.cat([gradient.flatten() for gradient in gradients]))
            for gradient, part in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))
