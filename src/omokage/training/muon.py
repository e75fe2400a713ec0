"""The Muon optimiser: the momentum of each weight matrix is orthogonalised before a step (Jordan et al. 2024).

Updates are scaled as in Liu et al. 2025 ("Muon is scalable for LLM training", eq. 4), so that learning rates and weight
decays for AdamW suit Muon, too. A convolution's weight counts as a matrix with one row per output channel.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

# Coefficients of the Newton-Schulz iteration of Jordan et al. 2024: a x + b x^3 + c x^5 for a singular value x.
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def compute_orthogonalisers(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return a factor F for each matrix X [n, m], so that F X (n <= m) or X F (n > m) is nearly orthogonal.

    With the singular value decomposition X = U S V', the product is approximately U V'. Its singular values lie between
    about 0.7 and 1.2. F is square, with side min(n, m).

    The Newton-Schulz iteration runs on the Gram matrices, which takes a third of the time for the wide matrices of
    convolutions. Gram matrices of equal size are stacked, because launching a kernel takes longer than a small product.
    """
    grams = [matrix.mT @ matrix if _is_tall(matrix) else matrix @ matrix.mT for matrix in matrices]
    numbers_by_size: dict[int, list[int]] = defaultdict(list)
    for number, gram in enumerate(grams):
        numbers_by_size[len(gram)].append(number)
    for numbers in numbers_by_size.values():
        stacked = torch.stack([grams[number] for number in numbers])
        norms = stacked.diagonal(dim1=1, dim2=2).sum(1).sqrt().add(1e-7)[:, None, None]
        factors = _compute_inverse_root(stacked / norms.square()) / norms
        for number, factor in zip(numbers, factors, strict=True):
            grams[number] = factor
    return grams


def _is_tall(matrix: Tensor) -> bool:
    return matrix.shape[0] > matrix.shape[1]


def _compute_inverse_root(gram: Tensor) -> Tensor:
    """Return the approximate inverse square root of each matrix in `gram` [k, n, n].

    It is the product of the factors of the Newton-Schulz iteration.
    """
    product = factor = _compute_factor(gram)
    for _ in range(ITERATIONS - 1):
        gram = factor @ (factor @ gram)
        factor = _compute_factor(gram)
        product = factor @ product
    return product


def _compute_factor(gram: Tensor) -> Tensor:
    """Return A I + B gram + C gram^2, the factor of one Newton-Schulz iteration."""
    factor = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
    factor.diagonal(dim1=1, dim2=2).add_(A)
    return factor


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, for weights with at least two dimensions. The momentum is float32."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all weights once."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            gradients = [weight.grad for weight in weights]
            for weight in weights:
                if "momentum" not in self.state[weight]:
                    self.state[weight]["momentum"] = torch.zeros_like(weight)
            momenta = [self.state[weight]["momentum"] for weight in weights]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            lookaheads = torch._foreach_lerp(momenta, gradients, 1 - group["momentum"])
            matrices = [_in_memory_order(x, weight).flatten(1) for weight, x in zip(weights, lookaheads, strict=True)]
            for weight, x, factor in zip(weights, matrices, compute_orthogonalisers(matrices), strict=True):
                scale = 0.2 * max(x.shape) ** 0.5
                _in_memory_order(weight, weight).view(x.shape).addmm_(
                    *((x, factor) if _is_tall(x) else (factor, x)),
                    beta=1 - group["lr"] * group["weight_decay"],
                    alpha=-group["lr"] * scale,
                )


def _in_memory_order(x: Tensor, weight: Tensor) -> Tensor:
    """Return x with its dimensions in the order in which those of `weight` lie in memory.

    With the channels-last layout, the input channels come last.
    """
    return x if weight.is_contiguous() else x.movedim(1, -1)
