"""Find a fixed point x = g(x) by Anderson acceleration (Walker & Ni 2011), for each image of a batch by itself."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

HISTORY = 2  # earlier iterations that the next one is extrapolated from
REGULARISATION = 1e-10  # of the least squares, relative to the trace of the normal matrix


def find_fixed_point(g: Callable[[Tensor], Tensor], x: Tensor, iterations: int, damping: float) -> Tensor:
    """Return the images [n, c, h, w] after `iterations` from x, with one evaluation of `g` each.

    An iteration moves x by the factor `damping` of the residual g(x) - x. From the second one on, the residuals of
    earlier iterations are first combined so that their sum is smallest (least squares). Unlike without this, it also
    converges where g is no contraction.
    """
    points: list[Tensor] = []
    residuals: list[Tensor] = []
    for _ in range(iterations):
        points, residuals = [*points[-HISTORY:], x], [*residuals[-HISTORY:], g(x) - x]
        x = x + damping * residuals[-1]
        if len(points) > 1:
            steps, changes = _stack_differences(points), _stack_differences(residuals)
            weights = _solve_least_squares(changes, residuals[-1])
            x = x - ((steps + damping * changes) @ weights).squeeze(-1).view_as(x)
    return x


def _stack_differences(tensors: list[Tensor]) -> Tensor:
    """Return the differences of successive tensors [n, c, h, w] as columns: [n, c * h * w, count]."""
    return torch.stack([(new - old).flatten(1) for old, new in pairwise(tensors)], dim=-1)


def _solve_least_squares(columns: Tensor, target: Tensor) -> Tensor:
    """Return the weights [n, count, 1] of the columns whose sum is nearest to the target [n, c, h, w]."""
    # In float64, because the normal equations square the condition number.
    transposed = columns.double().mT
    normal = transposed @ columns.double()
    trace = normal.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    # The second term is for residuals that no longer change.
    normal += (REGULARISATION * trace + 1e-30) * torch.eye(normal.shape[-1], dtype=normal.dtype, device=normal.device)
    return torch.linalg.solve(normal, transposed @ target.flatten(1).double()[..., None]).to(target.dtype)
