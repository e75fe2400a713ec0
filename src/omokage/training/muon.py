"""Muon: momentum whose matrices are made orthogonal before each step, so that no direction is drowned by others.

Jordan et al. 2024, with the scale of Liu et al. 2025 ("Muon is scalable", eq. 4), under which learning rate and weight
decay are those of AdamW. A convolution counts as a matrix of its output channels.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

# The quintic whose iteration drives singular values towards one soonest (Jordan et al. 2024).
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def orthogonalisers(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return an F for each matrix X = U S V' [n, m], as large as its smaller side, so that F X (X F, if tall) is U V'.

    Roughly: singular values come out between 0.7 and 1.2. The iteration runs on the Gram matrices, where it costs a
    third for the long matrices of convolutions, and on all of one size at once: most of the time of a small matrix is
    that of calling for it.
    """
    grams = [matrix.mT @ matrix if _tall(matrix) else matrix @ matrix.mT for matrix in matrices]
    alike: dict[int, list[int]] = defaultdict(list)
    for number, gram in enumerate(grams):
        alike[len(gram)].append(number)
    for numbers in alike.values():
        stacked = torch.stack([grams[number] for number in numbers])
        norms = stacked.diagonal(dim1=1, dim2=2).sum(1).sqrt().add(1e-7)[:, None, None]
        factors = _inverse_root(stacked / norms.square()) / norms
        for number, factor in zip(numbers, factors, strict=True):
            grams[number] = factor
    return grams


def _tall(matrix: Tensor) -> bool:
    return matrix.shape[0] > matrix.shape[1]


def _inverse_root(gram: Tensor) -> Tensor:
    """Return what makes x orthogonal where gram [k, n, n] is x x': the product of the iteration's factors."""
    total = factor = _factor(gram)
    for _ in range(ITERATIONS - 1):
        gram = factor @ (factor @ gram)
        factor = _factor(gram)
        total = factor @ total
    return total


def _factor(gram: Tensor) -> Tensor:
    factor = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
    factor.diagonal(dim1=1, dim2=2).add_(A)
    return factor


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum for weights of two or more dimensions; its state is float32."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            gradients = [weight.grad for weight in weights]
            for weight in weights:
                if "momentum" not in self.state[weight]:
                    self.state[weight]["momentum"] = torch.zeros_like(weight)
            averages = [self.state[weight]["momentum"] for weight in weights]
            torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(averages, gradients, 1 - group["momentum"])
            matrices = [_ordered_as(weight, x).flatten(1) for weight, x in zip(weights, ahead, strict=True)]
            for weight, x, factor in zip(weights, matrices, orthogonalisers(matrices), strict=True):
                scale = 0.2 * max(x.shape) ** 0.5
                _ordered_as(weight, weight).view(x.shape).addmm_(
                    *((x, factor) if _tall(x) else (factor, x)),
                    beta=1 - group["lr"] * group["weight_decay"],
                    alpha=-group["lr"] * scale,
                )


def _ordered_as(weight: Tensor, x: Tensor) -> Tensor:
    """Return x with its dimensions in the order in which the weight's numbers lie in memory: channels may come last."""
    return x if weight.is_contiguous() else x.movedim(1, -1)
