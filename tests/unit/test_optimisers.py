"""Muon, post-hoc EMA and stateless dropout."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from support.training import make_spec

from omokage.base.errors import UserError
from omokage.compute.seeding import make_generator
from omokage.diffusion import posthoc_ema
from omokage.diffusion.dropout import Dropout
from omokage.diffusion.ema import ModelEma
from omokage.training import optimisers
from omokage.training.muon import Muon, compute_orthogonalisers
from omokage.training.trainer import create_network


def test_orthogonalised_matrices_keep_their_singular_vectors_and_have_singular_values_near_one() -> None:
    shapes = [(16, 144), (96, 24), (32, 90), (16, 200), (24, 60)]
    matrices = [
        torch.randn(shape, generator=make_generator(i, "test")) * 10.0 ** (-i) for i, shape in enumerate(shapes)
    ]
    for before, factor in zip(matrices, compute_orthogonalisers(matrices), strict=True):
        after = before @ factor if len(before) > len(factor) else factor @ before
        u, _, vh = torch.linalg.svd(before, full_matrices=False)
        in_singular_basis = u.mT @ after @ vh.mT
        assert float(torch.linalg.svdvals(after).min()) > 0.6 and float(torch.linalg.svdvals(after).max()) < 1.3
        assert float((in_singular_basis - torch.diag(in_singular_basis.diagonal())).abs().max()) < 0.01


def test_a_gradient_of_zeros_leaves_the_weights_unchanged() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 6))
    weight.grad = torch.zeros(4, 6)
    Muon([weight], lr=0.01, momentum=0.9, weight_decay=0.0).step()
    assert torch.equal(weight.detach(), torch.ones(4, 6))


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (24, 2, 3, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_follows_the_iteration_of_its_paper(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    """Compare one step without momentum with the iteration on the matrix itself, in float64."""
    weight = torch.nn.Parameter(torch.randn(shape, generator=make_generator(0, "weight")).to(memory_format=layout))
    start, gradient = weight.detach().clone(), torch.randn(shape, generator=make_generator(1, "gradient"))
    weight.grad = gradient.clone()
    Muon([weight], lr=0.01, momentum=0.9, weight_decay=0.1).step()
    x = gradient.flatten(1).double()
    x = x / x.norm()
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    expected = start * (1 - 0.01 * 0.1) - 0.01 * 0.2 * max(x.shape) ** 0.5 * x.reshape(shape).float()
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-4, atol=1e-5)


def test_muon_updates_the_inner_convolutions_and_adamw_the_rest() -> None:
    network = create_network(make_spec(), 0)
    muon, adamw = optimisers.make_optimisers(network, "muon", 1e-3)
    muon_weights = {id(weight) for group in muon.param_groups for weight in group["params"]}
    adamw_weights = {id(weight) for group in adamw.param_groups for weight in group["params"]}
    assert muon_weights | adamw_weights == {id(weight) for weight in network.parameters()}
    assert not muon_weights & adamw_weights
    assert network.finish is not None
    assert {id(network.first.weight), id(network.finish.first.weight), id(network.last[-1].weight)} <= adamw_weights
    assert id(network.get_parameter("middle.0.residual.conv1.weight")) in muon_weights
    assert len(optimisers.make_optimisers(network, "adamw", 1e-3)) == 1


def make_power_ema(layer: torch.nn.Linear, sigma_rel: float) -> ModelEma[torch.nn.Linear]:
    return ModelEma(layer, posthoc_ema.make_power_function_decay(sigma_rel))


@pytest.mark.parametrize("sigma_rel", [0.05, 0.07, 0.1, 0.13])
def test_a_post_hoc_ema_equals_the_ema_computed_during_training(tmp_path: Path, sigma_rel: float) -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    saved_emas = {saved: make_power_ema(layer, saved) for saved in posthoc_ema.SIGMA_RELS}
    expected = make_power_ema(layer, sigma_rel)
    snapshots, steps = [], 600
    for step in range(1, steps + 1):
        torch.nn.init.constant_(layer.weight, float(np.sin(step / 90)) + step / 200)
        for ema in (*saved_emas.values(), expected):
            ema.update(step)
        if step in posthoc_ema.choose_snapshot_steps(steps):
            for saved, ema in saved_emas.items():
                weights = {key: value.half() for key, value in ema.model.state_dict().items()}
                snapshots.append(posthoc_ema.Snapshot(step, saved, weights))
    posthoc_ema.save_snapshots(tmp_path / "snapshots.safetensors", snapshots)
    synthesised = posthoc_ema.synthesise_ema(tmp_path / "snapshots.safetensors", sigma_rel)
    assert float(synthesised["weight"]) == pytest.approx(float(expected.model.weight.detach()), abs=0.03)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_post_hoc_ema_that_the_snapshots_cannot_approximate_is_refused(tmp_path: Path, count: int) -> None:
    steps, path = [600 * (number + 1) // count for number in range(count)], tmp_path / "snapshots.safetensors"
    posthoc_ema.save_snapshots(
        path, [posthoc_ema.Snapshot(step, saved, {}) for step in steps for saved in posthoc_ema.SIGMA_RELS]
    )
    for sigma_rel in posthoc_ema.SIGMA_RELS:
        posthoc_ema.check_sigma_rel(path, sigma_rel)
    with pytest.raises(UserError, match=r"^ema_sigma_rel = 0\.01: .* off by \d+ %, expected at most 10 %") as raised:
        posthoc_ema.check_sigma_rel(path, 0.01)
    smallest, largest = map(float, re.findall(r"choose (\S+) to (\S+)", str(raised.value))[0])
    for possible, impossible in ((smallest, smallest - 0.002), (largest, largest + 0.002)):
        posthoc_ema.check_sigma_rel(path, possible)
        with pytest.raises(UserError):
            posthoc_ema.check_sigma_rel(path, impossible)


@pytest.mark.parametrize("sigma_rel", [0.02, 0.03, 0.07, 0.2])
def test_the_profile_error_is_that_of_the_profiles_summed_step_by_step(sigma_rel: float) -> None:
    t, pairs = np.arange(1, 6001) / 6000, [(n / 6, saved) for n in range(1, 7) for saved in posthoc_ema.SIGMA_RELS]

    def make_profile(end: float, sigma_rel: float) -> np.ndarray:
        profile = np.where(t <= end, (t / end) ** posthoc_ema.sigma_rel_to_gamma(sigma_rel), 0)
        return profile / profile.sum()

    ends, saved = [round(6000 * end) for end, _ in pairs], [value for _, value in pairs]
    coefficients = posthoc_ema.solve_posthoc_coefficients(ends, saved, 6000, sigma_rel)
    approximate = sum(c * make_profile(*pair) for c, pair in zip(coefficients, pairs, strict=True))
    expected, error = make_profile(1, sigma_rel), posthoc_ema.compute_profile_error(ends, saved, 6000, sigma_rel)
    assert error == pytest.approx(np.linalg.norm(approximate - expected) / np.linalg.norm(expected), rel=0.02)


@pytest.mark.parametrize(("fraction", "step"), [(0.001, 100), (0.5, 300), (0.6, 400), (1.0, 600)])
def test_a_fraction_of_training_selects_the_nearest_snapshot_of_the_shortest_ema(
    tmp_path: Path, fraction: float, step: int
) -> None:
    snapshots = [
        posthoc_ema.Snapshot(number, sigma_rel, {"weight": torch.tensor([number, sigma_rel], dtype=torch.float16)})
        for number in posthoc_ema.choose_snapshot_steps(600)
        for sigma_rel in reversed(posthoc_ema.SIGMA_RELS)
    ]
    posthoc_ema.save_snapshots(tmp_path / "snapshots.safetensors", snapshots)
    weight = posthoc_ema.load_nearest_snapshot(tmp_path / "snapshots.safetensors", fraction)["weight"]
    assert weight.tolist() == pytest.approx([step, min(posthoc_ema.SIGMA_RELS)], rel=1e-3)


def test_sigma_rel_is_the_standard_deviation_of_the_ema_profile() -> None:
    for sigma_rel in (0.05, 0.1, 0.2):
        gamma = posthoc_ema.sigma_rel_to_gamma(sigma_rel)
        t = np.linspace(0, 1, 200_001)
        profile = t**gamma / (t**gamma).sum()
        mean = (profile * t).sum()
        assert ((profile * (t - mean) ** 2).sum()) ** 0.5 == pytest.approx(sigma_rel, rel=1e-3)


def test_dropout_depends_on_the_key_of_the_image_and_not_on_its_batch() -> None:
    layer, x = Dropout(0.3, 5), torch.ones(64, 8, 16, 16)
    keys = torch.randint(-(2**31), 2**31, (64,), generator=make_generator(0, "keys"), dtype=torch.int32)
    dropped = layer(x, keys)
    assert torch.equal(dropped[10:20], layer(x[10:20], keys[10:20]))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    # What is dropped is independent between images, layers and neighbouring positions.
    mask = (dropped == 0).float().flatten(1)
    other_layer_mask = (Dropout(0.3, 6)(x, keys) == 0).float().flatten(1)
    correlation = torch.corrcoef(torch.cat([mask[:8], other_layer_mask[:8]]))
    assert float((correlation - torch.eye(16)).abs().max()) < 0.1
    neighbour_correlation = torch.corrcoef(torch.stack([mask[:, :-1].flatten(), mask[:, 1:].flatten()]))[0, 1]
    assert abs(float(neighbour_correlation)) < 0.01
    assert layer(x, None) is x
