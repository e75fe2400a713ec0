"""The diffusion core against independent oracles."""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import grad

from omokage.diffusion.objective import WEIGHTINGS, converted, loss_weight, predicted_noise, predicted_x0, target
from omokage.diffusion.random import generator
from omokage.diffusion.schedule import SCHEDULES, Schedule
from omokage.diffusion.unet import Architecture, Finish, GroupNorm, UNet


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("timesteps", [2, 10, 100, 1000, 4000])
def test_a_schedule_falls_from_picture_to_noise(name: str, timesteps: int) -> None:
    schedule = Schedule.make(name, timesteps)
    assert len(schedule) == timesteps
    assert schedule.alphas_cumprod.dtype == torch.float64
    assert bool((schedule.alphas_cumprod.diff() < 0).all())
    assert 0 < float(schedule.alphas_cumprod[-1]) < float(schedule.alphas_cumprod[0]) < 1
    torch.testing.assert_close(schedule.alpha**2 + schedule.sigma**2, torch.ones(timesteps, dtype=torch.float64))
    torch.testing.assert_close(schedule.log_snr, -2 * torch.tan(schedule.angle).log())


@pytest.mark.parametrize(("name", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_schedules_equal_those_of_diffusers(name: str, theirs: str) -> None:
    oracle = DDPMScheduler(1000, beta_schedule=theirs).alphas_cumprod
    torch.testing.assert_close(Schedule.make(name, 1000).alphas_cumprod.float(), oracle, rtol=2e-5, atol=1e-8)


def test_the_sigmoid_schedule_is_the_papers() -> None:
    got = Schedule.make("sigmoid", 1000).alphas_cumprod
    for t in (0, 99, 499, 899):
        u = (t + 1) / 1000
        s = [1 / (1 + math.exp(-x)) for x in (-3.0, 3.0, 6 * u - 3)]
        assert float(got[t]) == pytest.approx((s[1] - s[2]) / (s[1] - s[0]) / 1.0, rel=1e-9)


PREDICTIONS = ("eps", "x0", "v")


@settings(max_examples=100, deadline=None)
@given(
    prediction=st.sampled_from(PREDICTIONS),
    wanted=st.sampled_from(PREDICTIONS),
    angle=st.floats(0.05, math.pi / 2 - 0.05),
    seed=st.integers(0, 1000),
)
def test_predictions_turn_into_each_other_exactly(prediction: str, wanted: str, angle: float, seed: int) -> None:
    alpha, sigma = (torch.tensor(part, dtype=torch.float64) for part in (math.cos(angle), math.sin(angle)))
    x0, noise = torch.randn(2, 1, 3, 2, 2, generator=generator(seed, "test"), dtype=torch.float64)
    x_t = alpha * x0 + sigma * noise
    said = target(prediction, x0, noise, alpha, sigma)
    torch.testing.assert_close(predicted_x0(prediction, said, x_t, alpha, sigma), x0, rtol=0, atol=1e-12)
    torch.testing.assert_close(predicted_noise(prediction, said, x_t, alpha, sigma), noise, rtol=0, atol=1e-12)
    turned = converted(prediction, wanted, said, x_t, alpha, sigma)
    torch.testing.assert_close(turned, target(wanted, x0, noise, alpha, sigma), rtol=0, atol=1e-11)


def test_v_still_tells_picture_and_noise_in_pure_noise_and_in_none() -> None:
    x0, noise = torch.randn(2, 1, 3, 2, 2, generator=generator(0, "test"))
    for alpha, sigma in ((0.0, 1.0), (1.0, 0.0)):
        level = torch.tensor(alpha), torch.tensor(sigma)
        v, x_t = target("v", x0, noise, *level), alpha * x0 + sigma * noise
        torch.testing.assert_close(predicted_x0("v", v, x_t, *level), x0)
        torch.testing.assert_close(predicted_noise("v", v, x_t, *level), noise)


@pytest.mark.parametrize("weighting", [*WEIGHTINGS, "simple"])
def test_a_weighting_is_one_whatever_is_predicted(weighting: str) -> None:
    schedule = Schedule.make("cosine", 200)
    snr = schedule.log_snr.exp()
    x0, noise, error = torch.randn(3, 1, generator=generator(0, "test"), dtype=torch.float64)
    losses = []
    for prediction in PREDICTIONS:
        wrong, x_t = x0 + error, schedule.alpha * x0 + schedule.sigma * noise
        true = target(prediction, x0, noise, schedule.alpha, schedule.sigma)
        said = target(
            prediction, wrong, (x_t - schedule.alpha * wrong) / schedule.sigma, schedule.alpha, schedule.sigma
        )
        losses.append(loss_weight(weighting, prediction, snr, 5.0) * (said - true) ** 2)
    in_x0 = torch.ones_like(snr) if weighting == "simple" else WEIGHTINGS[weighting](snr, 5.0)
    torch.testing.assert_close(losses[1], in_x0 * error**2)
    if weighting != "simple":
        torch.testing.assert_close(losses[0], losses[1])
        torch.testing.assert_close(losses[2], losses[1])


def test_min_snr_weights_are_the_papers() -> None:
    snr = torch.tensor([0.1, 5.0, 20.0])
    for prediction, wanted in (("eps", [1, 1, 0.25]), ("x0", [0.1, 5, 5]), ("v", [0.1 / 1.1, 5 / 6, 5 / 21])):
        torch.testing.assert_close(loss_weight("min_snr", prediction, snr, 5.0), torch.tensor(wanted))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_floor_is_the_least_weight_of_the_same_error_whatever_is_predicted(weighting: str) -> None:
    snr = torch.tensor([1e-6, 0.01, 1.0, 30.0, 1e5])
    weights = {prediction: loss_weight(weighting, prediction, snr, 5.0, 0.1) for prediction in PREDICTIONS}
    plain = loss_weight(weighting, "v", snr, 5.0)
    torch.testing.assert_close(weights["v"], plain.clamp(min=0.1))
    torch.testing.assert_close(weights["x0"], weights["v"] * (snr + 1))
    torch.testing.assert_close(weights["eps"] * snr, weights["x0"])
    assert float(loss_weight(weighting, "v", torch.zeros(1), 5.0, 0.1)) >= 0.1


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_stretched_schedule_ends_in_pure_noise_and_begins_as_before(name: str) -> None:
    plain, stretched = (Schedule.make(name, 1000, zero_snr) for zero_snr in (False, True))
    assert float(stretched.alphas_cumprod[-1]) == 0
    assert float(stretched.alphas_cumprod[0]) == pytest.approx(float(plain.alphas_cumprod[0]), rel=1e-12)
    assert bool((stretched.alphas_cumprod.diff() < 0).all())
    assert float(stretched.angle[-1]) == pytest.approx(math.pi / 2)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_shift_moves_every_log_snr(name: str) -> None:
    plain, shifted = (Schedule.make(name, 1000, log_snr_shift=shift) for shift in (0.0, -1.5))
    torch.testing.assert_close(shifted.log_snr, plain.log_snr - 1.5)


def test_forward_noising_has_the_stated_mean_and_variance() -> None:
    schedule = Schedule.make("cosine", 1000)
    x0 = torch.full((200_000, 1, 1, 1), 0.7, dtype=torch.float64)
    noise = torch.randn(x0.shape, generator=generator(0, "test"), dtype=torch.float64)
    for t in (0, 300, 700, 999):
        x_t = schedule.add_noise(x0, noise, torch.full((len(x0),), t))
        alpha_bar = float(schedule.alphas_cumprod[t])
        spread = math.sqrt((1 - alpha_bar) / len(x0))
        assert float(x_t.mean()) == pytest.approx(0.7 * math.sqrt(alpha_bar), abs=4 * spread)
        assert float(x_t.var()) == pytest.approx(1 - alpha_bar, rel=4 * math.sqrt(2 / len(x0)))


def test_randomness_depends_on_its_arguments_alone() -> None:
    torch.manual_seed(1)
    first = torch.randn(4, generator=generator(3, "noise", 5))
    torch.manual_seed(2)
    torch.testing.assert_close(torch.randn(4, generator=generator(3, "noise", 5)), first, rtol=0, atol=0)
    others = [generator(3, "noise", 6), generator(3, "order", 5), generator(4, "noise", 5)]
    assert all(not torch.equal(torch.randn(4, generator=other), first) for other in others)


@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 2, 2)])
def test_a_unet_keeps_the_shape_and_starts_by_adding_nothing(patch: int, multipliers: tuple[int, ...]) -> None:
    network = UNet(Architecture(16, 16, multipliers, 1, (4,), 0.1, patch)).eval()
    x, angle = torch.randn(2, 3, 16, 16, generator=generator(0, "test")), torch.tensor([0.1, 1.5])
    output = network(x, angle)
    assert output.shape == x.shape
    assert output.dtype == torch.float32
    assert float(output.detach().abs().max()) == 0


def test_after_a_patch_stem_a_pixel_knows_its_neighbours_in_other_patches() -> None:
    finish = Finish(channels=16, out_channels=8, patch=4, embedding=16)
    # A norm ties all pixels together, and a block's last convolution is zero at first.
    for norm in ("norm1", "norm2"):
        finish.block.register_module(norm, nn.Identity())
    nn.init.ones_(finish.block.conv2.weight)
    picture = torch.randn(1, 3, 16, 16, generator=generator(0, "test"), requires_grad=True)
    out = finish(torch.randn(1, 16, 4, 4, generator=generator(1, "test")), picture, torch.zeros(1, 16))
    (felt,) = grad(out[0, 0, 3, 3], picture)
    reached = felt[0].abs().sum(0) > 0
    assert reached[:7, :7].all() and not reached[7:].any() and not reached[:, 7:].any()
    assert UNet(Architecture(16, 16, (1,), 1, (), 0.0, 1)).finish is None


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_norm_spelt_out_for_gpus_is_pytorchs_and_keeps_the_layout(layout: torch.memory_format) -> None:
    norm = GroupNorm(4, 12)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(3, 12, 6, 5, generator=generator(0, "x")).mul(3) + torch.arange(12.0).view(-1, 1, 1)
    x = x.to(memory_format=layout).requires_grad_()
    toward = torch.randn(3, 12, 6, 5, generator=generator(0, "toward"))
    ours, theirs = norm.spelt_out(x), norm(x)
    assert torch.allclose(ours, theirs, atol=1e-5)
    for mine, its in zip(*(grad(y, (x, norm.weight, norm.bias), toward) for y in (ours, theirs)), strict=True):
        assert torch.allclose(mine, its, atol=1e-4)
    assert ours.is_contiguous(memory_format=layout)
    assert norm.spelt_out(x.bfloat16()).dtype == torch.float32


def test_the_norm_spelt_out_makes_its_bias_of_a_picture_without_any_detail() -> None:
    norm = GroupNorm(4, 12)
    nn.init.normal_(norm.bias)
    # Some of these mean squares are rounded to less than the square of the mean.
    flat = torch.linspace(1, 100, 50).view(-1, 1, 1, 1).expand(50, 12, 6, 5).clone().requires_grad_()
    out = norm.spelt_out(flat)
    assert torch.allclose(out, norm.bias.view(1, -1, 1, 1).expand_as(out), atol=0.05)
    (felt,) = grad(out.square().sum(), flat)
    assert felt.isfinite().all()


@pytest.mark.parametrize("patch", [1, 2])
def test_a_unet_is_one_graph_to_the_compiler(patch: int) -> None:
    network = UNet(Architecture(16, 16, (1, 2), 1, (4,), 0.2, patch))
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.2)
    x, angle = torch.randn(2, 3, 16, 16, generator=generator(0, "x")), torch.tensor([0.3, 1.2])
    keys = torch.tensor([5, -7], dtype=torch.int32)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x, angle, keys), network(x, angle, keys), atol=1e-5)
    assert not torch.allclose(network(x, angle, keys), network(x, angle), atol=1e-3)
