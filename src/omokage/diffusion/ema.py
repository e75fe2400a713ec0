"""Exponential moving averages (EMA) of a model's weights."""

import copy
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def make_half_life_decay(half_life: float) -> Callable[[int], float]:
    """Return a function from a step (counted from 1) to the EMA's decay at that step.

    `half_life` is in steps. It is limited to a tenth of the steps so far, so that the initial weights are soon
    forgotten.
    """
    return lambda step: 0.5 ** (1 / max(min(half_life, step / 10), 1e-8))


class ModelEma(Generic[M]):
    """An EMA of a model's weights: average = decay(step) * average + (1 - decay(step)) * weights.

    The attribute `model` is a copy of the given model that holds the average. Buffers are copied, not averaged.
    """

    def __init__(self, model: M, decay: Callable[[int], float]) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        # Listed once, because collecting the tensors from the modules takes as long as the update.
        self._averaged: list[Tensor] = list(self.model.parameters())
        self._current: list[Tensor] = list(model.parameters())
        self._buffers = list(zip(self.model.buffers(), model.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average with the current weights of the given model.

        `step` is the number of the training step (counted from 1) that gave these weights.
        """
        torch._foreach_lerp_(self._averaged, self._current, 1 - self.decay(step))
        for buffer, current in self._buffers:
            buffer.copy_(current)
