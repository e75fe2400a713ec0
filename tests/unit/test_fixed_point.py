"""The accelerated fixed-point iteration: it converges, also where g is no contraction, and for each image by itself."""

import torch
from torch import Tensor

from omokage.editing.fixed_point import find_fixed_point

TARGET = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
# The slope of g for each image. Without acceleration, only slopes between -1 and 1 converge at full steps.
SLOPES = torch.tensor([0.5, -0.9, -3.0, 2.0]).view(4, 1, 1, 1)


def move(x: Tensor) -> Tensor:
    return TARGET + SLOPES * (x - TARGET)


def test_it_finds_the_fixed_point_where_plain_iterations_diverge() -> None:
    found = find_fixed_point(move, torch.zeros_like(TARGET), 4, damping=0.5)
    torch.testing.assert_close(found, TARGET, atol=1e-4, rtol=0)


def test_an_image_does_not_depend_on_the_others_of_its_batch() -> None:
    def curve(x: Tensor) -> Tensor:
        return 2 * torch.cos(x)

    together = find_fixed_point(curve, TARGET, 3, damping=0.5)
    alone = torch.cat([find_fixed_point(curve, image, 3, damping=0.5) for image in TARGET.split(1)])
    torch.testing.assert_close(together, alone)


def test_a_start_at_the_fixed_point_stays_there() -> None:
    assert torch.equal(find_fixed_point(move, TARGET.clone(), 4, damping=0.5), TARGET)


def test_without_iterations_nothing_changes() -> None:
    assert torch.equal(find_fixed_point(move, TARGET + 1, 0, damping=0.5), TARGET + 1)
