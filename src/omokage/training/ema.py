"""Exponential moving average of a model's weights."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


class EMA(Generic[M]):
    """An average of `model`'s weights with a half-life in steps, shorter early on so that the first noise is forgotten.

    Buffers are copied, never averaged.
    """

    def __init__(self, model: M, half_life: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.half_life = half_life

    def decay(self, step: int) -> float:
        """Return the average's decay at `step` (from 1): its half-life is at most a tenth of the steps so far."""
        return 0.5 ** (1 / max(min(self.half_life, step / 10), 1e-8))

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the model's weights after `step` into the average."""
        averaged = [parameter.data for parameter in self.model.parameters()]
        current = [parameter.data for parameter in model.parameters()]
        torch._foreach_lerp_(averaged, current, 1 - self.decay(step))
        for mine, its in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(its)
