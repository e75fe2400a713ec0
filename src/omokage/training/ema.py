"""Averages of a model's weights."""

import copy
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def half_life(steps: float) -> Callable[[int], float]:
    """Return an exponential average's decay at each step (from 1): of this half-life, but at most a tenth of the past.

    So the first noise is forgotten.
    """
    return lambda step: 0.5 ** (1 / max(min(steps, step / 10), 1e-8))


class Average(Generic[M]):
    """A moving average of `model`'s weights, `decay` being what it keeps of itself at a step.

    Buffers are copied, never averaged.
    """

    def __init__(self, model: M, decay: Callable[[int], float]) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        # Listed once: to walk through a network takes as long as to average it.
        self._averaged: list[Tensor] = list(self.model.parameters())
        self._current: list[Tensor] = list(model.parameters())
        self._buffers = list(zip(self.model.buffers(), model.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the model's weights after `step` (from 1) into the average."""
        torch._foreach_lerp_(self._averaged, self._current, 1 - self.decay(step))
        for mine, its in self._buffers:
            mine.copy_(its)
