"""Muon: momentum whose matrices are made orthogonal before each step, so that no direction is drowned by others.

Jordan et al. 2024, with the scale of Liu et al. 2025 ("Muon is scalable", eq. 4), under which learning rate and weight
decay are those of AdamW. A convolution counts as a matrix of its output channels.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

# The quintic whose iteration drives singular values towards one soonest (Jordan et al. 2024).
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return U V' of each matrix U S V' [k, n, m], roughly: its singular values come out between 0.7 and 1.2.

    The iteration runs on the small side's Gram matrix, where it costs a third for the long matrices of convolutions.
    """
    x = matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    gram = x @ x.mT
    total = torch.eye(len(gram[0]), device=x.device).expand_as(gram)
    for iteration in range(ITERATIONS):
        factor = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
        factor.diagonal(dim1=1, dim2=2).add_(A)
        total = factor @ total
        if iteration + 1 < ITERATIONS:
            gram = factor @ (factor @ gram)
    x = total @ x
    return x.mT if matrices.shape[1] > matrices.shape[2] else x


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
                self.state[weight].setdefault("momentum", torch.zeros_like(weight))
            averages = [self.state[weight]["momentum"] for weight in weights]
            torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(gradients, averages, group["momentum"])
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            # Matrices of one shape are worked on together.
            alike: dict[tuple[int, int], list[int]] = defaultdict(list)
            for number, weight in enumerate(weights):
                alike[len(weight), weight[0].numel()].append(number)
            for (rows, columns), numbers in alike.items():
                updates = orthogonalised(torch.stack([ahead[number].reshape(rows, columns) for number in numbers]))
                scale = 0.2 * max(rows, columns) ** 0.5
                for number, update in zip(numbers, updates, strict=True):
                    weights[number].add_(update.view_as(weights[number]), alpha=-group["lr"] * scale)
