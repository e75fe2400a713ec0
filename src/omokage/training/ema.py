"""Averages of a model's weights."""

import copy
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import nn

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

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the model's weights after `step` (from 1) into the average."""
        averaged = [parameter.data for parameter in self.model.parameters()]
        current = [parameter.data for parameter in model.parameters()]
        torch._foreach_lerp_(averaged, current, 1 - self.decay(step))
        for mine, its in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(its)
