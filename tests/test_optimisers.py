"""Muon, the averages put together after the training, and dropout that depends on the picture alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from omokage import posthoc
from omokage.diffusion.dropout import Dropout
from omokage.diffusion.random import generator
from omokage.training import optimisers
from omokage.training.ema import Average
from omokage.training.muon import Muon, orthogonalisers


def test_orthogonalised_matrices_keep_their_directions_and_lose_their_lengths() -> None:
    shapes = [(16, 144), (96, 24), (32, 90), (16, 200), (24, 60)]
    matrices = [torch.randn(shape, generator=generator(i, "test")) * 10.0 ** (-i) for i, shape in enumerate(shapes)]
    for before, factor in zip(matrices, orthogonalisers(matrices), strict=True):
        after = before @ factor if len(before) > len(factor) else factor @ before
        u, _, vh = torch.linalg.svd(before, full_matrices=False)
        kept = u.mT @ after @ vh.mT
        assert float(torch.linalg.svdvals(after).min()) > 0.6 and float(torch.linalg.svdvals(after).max()) < 1.3
        assert float((kept - torch.diag(kept.diagonal())).abs().max()) < 0.01


def test_a_matrix_of_zeros_stays_where_it_is() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 6))
    weight.grad = torch.zeros(4, 6)
    Muon([weight], lr=0.01, momentum=0.9, weight_decay=0.0).step()
    assert torch.equal(weight.detach(), torch.ones(4, 6))


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (24, 2, 3, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_follows_the_iteration_of_its_authors(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    """One step from rest, against the plain iteration on the matrix in float64, the gradient in either layout."""
    weight = torch.nn.Parameter(torch.randn(shape, generator=generator(0, "weight")).to(memory_format=layout))
    start, gradient = weight.detach().clone(), torch.randn(shape, generator=generator(1, "gradient"))
    weight.grad = gradient.clone()
    Muon([weight], lr=0.01, momentum=0.9, weight_decay=0.1).step()
    x = gradient.flatten(1).double()
    x = x / x.norm()
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    wanted = start * (1 - 0.01 * 0.1) - 0.01 * 0.2 * max(x.shape) ** 0.5 * x.reshape(shape).float()
    torch.testing.assert_close(weight.detach(), wanted, rtol=1e-4, atol=1e-5)


def test_muon_moves_the_inner_convolutions_and_adamw_the_rest() -> None:
    from test_training import spec

    from omokage.training.loop import new_network

    network = new_network(spec(), 0)
    muon, adamw = optimisers.make(network, "muon", 1e-3)
    moved = {id(weight) for group in muon.param_groups for weight in group["params"]}
    rest = {id(weight) for group in adamw.param_groups for weight in group["params"]}
    assert moved | rest == {id(weight) for weight in network.parameters()} and not moved & rest
    assert network.finish is not None
    assert {id(network.first.weight), id(network.finish.first.weight), id(network.last[-1].weight)} <= rest
    assert id(network.get_parameter("middle.0.residual.conv1.weight")) in moved
    assert len(optimisers.make(network, "adamw", 1e-3)) == 1


@pytest.mark.parametrize("length", [0.05, 0.07, 0.1, 0.13])
def test_an_average_put_together_later_is_the_one_that_was_not_kept(tmp_path: Path, length: float) -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    kept = {known: Average(layer, posthoc.decay(known)) for known in posthoc.LENGTHS}
    wanted = Average(layer, posthoc.decay(length))
    snapshots, steps = [], 600
    for step in range(1, steps + 1):
        torch.nn.init.constant_(layer.weight, float(np.sin(step / 90)) + step / 200)
        for average in (*kept.values(), wanted):
            average.update(step)
        if step in posthoc.moments(steps):
            for known, average in kept.items():
                weights = {key: value.half() for key, value in average.model.state_dict().items()}
                snapshots.append(posthoc.Snapshot(step, known, weights))
    posthoc.save(tmp_path / "snapshots.safetensors", snapshots)
    found = posthoc.combined(tmp_path / "snapshots.safetensors", length)
    assert float(found["weight"]) == pytest.approx(float(wanted.model.weight.detach()), abs=0.03)


@pytest.mark.parametrize(("fraction", "step"), [(0.001, 100), (0.5, 300), (0.6, 400), (1.0, 600)])
def test_an_earlier_state_is_the_snapshot_nearest_to_it(tmp_path: Path, fraction: float, step: int) -> None:
    snapshots = [
        posthoc.Snapshot(moment, length, {"weight": torch.tensor([moment, length], dtype=torch.float16)})
        for moment in posthoc.moments(600)
        for length in reversed(posthoc.LENGTHS)
    ]
    posthoc.save(tmp_path / "snapshots.safetensors", snapshots)
    found = posthoc.earlier(tmp_path / "snapshots.safetensors", fraction)["weight"]
    assert found.tolist() == pytest.approx([step, min(posthoc.LENGTHS)], rel=1e-3)


def test_a_length_is_the_relative_width_of_its_profile() -> None:
    for length in (0.05, 0.1, 0.2):
        gamma = posthoc.exponent(length)
        t = np.linspace(0, 1, 200_001)
        profile = t**gamma / (t**gamma).sum()
        mean = (profile * t).sum()
        assert ((profile * (t - mean) ** 2).sum()) ** 0.5 == pytest.approx(length, rel=1e-3)


def test_dropout_depends_on_the_pictures_key_and_not_on_its_batch() -> None:
    layer, x = Dropout(0.3, 5), torch.ones(64, 8, 16, 16)
    keys = torch.randint(-(2**31), 2**31, (64,), generator=generator(0, "keys"), dtype=torch.int32)
    dropped = layer(x, keys)
    assert torch.equal(dropped[10:20], layer(x[10:20], keys[10:20]))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    # Pictures, layers and places are dropped independently of each other.
    one = (dropped == 0).float().flatten(1)
    apart = torch.corrcoef(torch.cat([one[:8], (Dropout(0.3, 6)(x, keys) == 0).float().flatten(1)[:8]]))
    assert float((apart - torch.eye(16)).abs().max()) < 0.1
    neighbours = torch.corrcoef(torch.stack([one[:, :-1].flatten(), one[:, 1:].flatten()]))[0, 1]
    assert abs(float(neighbours)) < 0.01
    assert layer(x, None) is x
