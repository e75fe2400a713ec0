"""Noise schedules, predictions, loss weights and the UNet, against papers, diffusers and PyTorch."""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import grad

from omokage.compute.seeding import make_generator
from omokage.diffusion.blocks import Finish, GroupNorm
from omokage.diffusion.objective import (
    WEIGHTINGS,
    compute_loss_weight,
    compute_target,
    predict_x0,
)
from omokage.diffusion.schedule import SCHEDULES, Schedule
from omokage.diffusion.unet import Architecture, UNet
from omokage.params.schema import UNBOUNDED_WEIGHTS


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("timesteps", [2, 10, 100, 1000, 4000])
def test_a_schedule_decreases_from_image_to_noise(name: str, timesteps: int) -> None:
    schedule = Schedule.make(name, timesteps)
    assert len(schedule) == timesteps
    assert schedule.alphas_cumprod.dtype == torch.float64
    assert bool((schedule.alphas_cumprod.diff() < 0).all())
    assert 0 < float(schedule.alphas_cumprod[-1]) < float(schedule.alphas_cumprod[0]) < 1
    torch.testing.assert_close(schedule.alpha**2 + schedule.sigma**2, torch.ones(timesteps, dtype=torch.float64))
    torch.testing.assert_close(schedule.log_snr, -2 * torch.tan(schedule.angle).log())


@pytest.mark.parametrize(("name", "diffusers_name"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_schedules_equal_those_of_diffusers(name: str, diffusers_name: str) -> None:
    expected = DDPMScheduler(1000, beta_schedule=diffusers_name).alphas_cumprod
    torch.testing.assert_close(Schedule.make(name, 1000).alphas_cumprod.float(), expected, rtol=2e-5, atol=1e-8)


def test_the_sigmoid_schedule_follows_the_formula_of_the_paper() -> None:
    alphas_cumprod = Schedule.make("sigmoid", 1000).alphas_cumprod
    for t in (0, 99, 499, 899):
        u = (t + 1) / 1000
        s = [1 / (1 + math.exp(-x)) for x in (-3.0, 3.0, 6 * u - 3)]
        assert float(alphas_cumprod[t]) == pytest.approx((s[1] - s[2]) / (s[1] - s[0]), rel=1e-9)


PREDICTIONS = ("eps", "x0", "v")


def predict_noise(prediction: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the noise that the network's `output` at x_t implies.

    The prediction "x0" requires sigma > 0.
    """
    return {
        "eps": lambda: output,
        "x0": lambda: (x_t - alpha * output) / sigma,
        "v": lambda: sigma * x_t + alpha * output,
    }[prediction]()


@settings(max_examples=100)
@given(
    prediction=st.sampled_from(PREDICTIONS),
    other_prediction=st.sampled_from(PREDICTIONS),
    angle=st.floats(0.05, math.pi / 2 - 0.05),
    seed=st.integers(0, 1000),
)
def test_any_prediction_determines_the_image_the_noise_and_the_other_predictions(
    prediction: str, other_prediction: str, angle: float, seed: int
) -> None:
    alpha, sigma = (torch.tensor(part, dtype=torch.float64) for part in (math.cos(angle), math.sin(angle)))
    x0, noise = torch.randn(2, 1, 3, 2, 2, generator=make_generator(seed, "test"), dtype=torch.float64)
    x_t = alpha * x0 + sigma * noise
    output = compute_target(prediction, x0, noise, alpha, sigma)
    predicted_x0 = predict_x0(prediction, output, x_t, alpha, sigma)
    predicted_noise = predict_noise(prediction, output, x_t, alpha, sigma)
    torch.testing.assert_close(predicted_x0, x0, rtol=0, atol=1e-12)
    torch.testing.assert_close(predicted_noise, noise, rtol=0, atol=1e-12)
    converted = compute_target(other_prediction, predicted_x0, predicted_noise, alpha, sigma)
    expected = compute_target(other_prediction, x0, noise, alpha, sigma)
    torch.testing.assert_close(converted, expected, rtol=0, atol=1e-11)


def test_v_determines_image_and_noise_even_in_pure_noise_and_without_noise() -> None:
    x0, noise = torch.randn(2, 1, 3, 2, 2, generator=make_generator(0, "test"))
    for alpha, sigma in ((0.0, 1.0), (1.0, 0.0)):
        level = torch.tensor(alpha), torch.tensor(sigma)
        v, x_t = compute_target("v", x0, noise, *level), alpha * x0 + sigma * noise
        torch.testing.assert_close(predict_x0("v", v, x_t, *level), x0)
        torch.testing.assert_close(predict_noise("v", v, x_t, *level), noise)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_weighting_gives_the_same_loss_for_every_prediction(weighting: str) -> None:
    schedule = Schedule.make("cosine", 200)
    snr = schedule.log_snr.exp()
    x0, noise, error = torch.randn(3, 1, generator=make_generator(0, "test"), dtype=torch.float64)
    losses = []
    for prediction in PREDICTIONS:
        wrong_x0, x_t = x0 + error, schedule.alpha * x0 + schedule.sigma * noise
        wrong_noise = (x_t - schedule.alpha * wrong_x0) / schedule.sigma
        target = compute_target(prediction, x0, noise, schedule.alpha, schedule.sigma)
        output = compute_target(prediction, wrong_x0, wrong_noise, schedule.alpha, schedule.sigma)
        losses.append(compute_loss_weight(weighting, prediction, snr, 5.0) * (output - target) ** 2)
    torch.testing.assert_close(losses[1], WEIGHTINGS[weighting](snr, 5.0) * error**2)
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(losses[2], losses[1])


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_weighting_simple_is_one_for_every_prediction_and_noise_level(prediction: str) -> None:
    snr = Schedule.make("cosine", 200).log_snr.exp()
    assert bool((compute_loss_weight("simple", prediction, snr, 5.0, 0.1) == 1).all())


def test_min_snr_weights_are_those_of_the_paper() -> None:
    snr = torch.tensor([0.1, 5.0, 20.0])
    for prediction, expected in (("eps", [1, 1, 0.25]), ("x0", [0.1, 5, 5]), ("v", [0.1 / 1.1, 5 / 6, 5 / 21])):
        torch.testing.assert_close(compute_loss_weight("min_snr", prediction, snr, 5.0), torch.tensor(expected))


TRAINED = [  # every combination that params.yaml may name
    (prediction, weighting)
    for prediction in PREDICTIONS
    for weighting in ("simple", *WEIGHTINGS)
    if (prediction, weighting) not in UNBOUNDED_WEIGHTS
]


@given(
    combination=st.sampled_from(TRAINED),
    name=st.sampled_from(sorted(SCHEDULES)),
    timesteps=st.integers(2, 1200),
    shift=st.floats(-4, 4),
    zero_snr=st.booleans(),
    gamma=st.floats(0.5, 20),
    floor=st.floats(0, 1),
)
@settings(max_examples=300)
def test_no_noise_level_has_a_weight_beyond_its_bounds(
    combination: tuple[str, str], name: str, timesteps: int, shift: float, zero_snr: bool, gamma: float, floor: float
) -> None:
    prediction, weighting = combination
    snr = Schedule.make(name, timesteps, zero_snr and prediction != "eps", shift).log_snr.exp()
    weights = {f: compute_loss_weight(weighting, prediction, snr, gamma, f) for f in (0.0, floor)}
    assert bool(weights[floor].isfinite().all())
    if weighting != "simple":
        torch.testing.assert_close(weights[floor], weights[0.0].clamp(min=floor))
    assert float(weights[floor].max()) <= max(1.0, gamma if prediction == "x0" else 1.0) * (1 + 1e-9)


@pytest.mark.parametrize(("prediction", "weighting"), TRAINED)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("shift", [0.0, 1.4])
@pytest.mark.parametrize("floor", [0.0, 0.1, 1.0])
def test_a_few_noise_levels_do_not_hold_most_of_the_weight(
    prediction: str, weighting: str, name: str, shift: float, floor: float
) -> None:
    weight = compute_loss_weight(
        weighting, prediction, Schedule.make(name, 1000, False, shift).log_snr.exp(), 5.0, floor
    )
    assert float(weight.sort().values[-10:].sum() / weight.sum()) < 0.05


@pytest.mark.parametrize(("prediction", "weighting"), UNBOUNDED_WEIGHTS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_refused_combination_would_give_most_of_the_weight_to_a_few_noise_levels(
    prediction: str, weighting: str, name: str
) -> None:
    weight = compute_loss_weight(weighting, prediction, Schedule.make(name, 1000).log_snr.exp(), 5.0)
    assert float(weight.sort().values[-10:].sum() / weight.sum()) > 0.1


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_zero_snr_schedule_ends_in_pure_noise_and_starts_unchanged(name: str) -> None:
    plain, rescaled = (Schedule.make(name, 1000, zero_snr) for zero_snr in (False, True))
    assert float(rescaled.alphas_cumprod[-1]) == 0
    assert float(rescaled.alphas_cumprod[0]) == pytest.approx(float(plain.alphas_cumprod[0]), rel=1e-12)
    assert bool((rescaled.alphas_cumprod.diff() < 0).all())
    assert float(rescaled.angle[-1]) == pytest.approx(math.pi / 2)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_shift_is_added_to_every_log_snr(name: str) -> None:
    plain, shifted = (Schedule.make(name, 1000, log_snr_shift=shift) for shift in (0.0, -1.5))
    torch.testing.assert_close(shifted.log_snr, plain.log_snr - 1.5)


def test_noisy_images_have_the_expected_mean_and_variance() -> None:
    schedule = Schedule.make("cosine", 1000)
    x0 = torch.full((200_000, 1, 1, 1), 0.7, dtype=torch.float64)
    noise = torch.randn(x0.shape, generator=make_generator(0, "test"), dtype=torch.float64)
    for t in (0, 300, 700, 999):
        x_t = schedule.add_noise(x0, noise, torch.full((len(x0),), t))
        alpha_bar = float(schedule.alphas_cumprod[t])
        standard_error = math.sqrt((1 - alpha_bar) / len(x0))
        assert float(x_t.mean()) == pytest.approx(0.7 * math.sqrt(alpha_bar), abs=4 * standard_error)
        assert float(x_t.var()) == pytest.approx(1 - alpha_bar, rel=4 * math.sqrt(2 / len(x0)))


def test_a_generator_depends_only_on_its_arguments() -> None:
    torch.manual_seed(1)
    first = torch.randn(4, generator=make_generator(3, "noise", 5))
    torch.manual_seed(2)
    torch.testing.assert_close(torch.randn(4, generator=make_generator(3, "noise", 5)), first, rtol=0, atol=0)
    different = [make_generator(3, "noise", 6), make_generator(3, "order", 5), make_generator(4, "noise", 5)]
    assert all(not torch.equal(torch.randn(4, generator=generator), first) for generator in different)


@pytest.mark.parametrize("patch_size", [1, 2, 4])
@pytest.mark.parametrize("channel_mult", [(1,), (1, 2), (1, 2, 2)])
def test_an_untrained_unet_outputs_zeros_of_the_shape_of_its_input(
    patch_size: int, channel_mult: tuple[int, ...]
) -> None:
    network = UNet(Architecture(16, 16, channel_mult, 1, (4,), 0.1, patch_size)).eval()
    x, angle = torch.randn(2, 3, 16, 16, generator=make_generator(0, "test")), torch.tensor([0.1, 1.5])
    output = network(x, angle)
    assert output.shape == x.shape
    assert output.dtype == torch.float32
    assert float(output.detach().abs().max()) == 0


def test_after_a_patch_stem_a_pixel_depends_on_its_neighbours_in_other_patches() -> None:
    finish = Finish(channels=16, out_channels=8, patch_size=4, embedding=16)
    # A norm makes every pixel depend on all others, and the last convolution of a block is zero at first.
    for norm in ("norm1", "norm2"):
        finish.block.register_module(norm, nn.Identity())
    nn.init.ones_(finish.block.conv2.weight)
    image = torch.randn(1, 3, 16, 16, generator=make_generator(0, "test"), requires_grad=True)
    output = finish(torch.randn(1, 16, 4, 4, generator=make_generator(1, "test")), image, torch.zeros(1, 16))
    (gradient,) = grad(output[0, 0, 3, 3], image)
    has_effect = gradient[0].abs().sum(0) > 0
    assert has_effect[:7, :7].all() and not has_effect[7:].any() and not has_effect[:, 7:].any()
    assert UNet(Architecture(16, 16, (1,), 1, (), 0.0, 1)).finish is None


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_group_norm_for_gpus_equals_that_of_pytorch_and_keeps_the_layout(layout: torch.memory_format) -> None:
    norm = GroupNorm(4, 12)
    nn.init.normal_(norm.weight, generator=make_generator(0, "weight"))
    nn.init.normal_(norm.bias, generator=make_generator(0, "bias"))
    x = torch.randn(3, 12, 6, 5, generator=make_generator(0, "x")).mul(3) + torch.arange(12.0).view(-1, 1, 1)
    x = x.to(memory_format=layout).requires_grad_()
    output_gradient = torch.randn(3, 12, 6, 5, generator=make_generator(0, "toward"))
    output, expected = norm.normalise_from_moments(x), norm(x)
    assert torch.allclose(output, expected, atol=1e-5)
    gradients, expected_gradients = (grad(y, (x, norm.weight, norm.bias), output_gradient) for y in (output, expected))
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert torch.allclose(gradient, expected_gradient, atol=1e-4)
    assert output.is_contiguous(memory_format=layout)
    assert norm.normalise_from_moments(x.bfloat16()).dtype == torch.float32


def test_the_group_norm_for_gpus_turns_constant_images_into_its_bias() -> None:
    norm = GroupNorm(4, 12)
    nn.init.normal_(norm.bias, generator=make_generator(0, "bias"))
    # Rounding makes some of these mean squares smaller than the square of the mean.
    constant = torch.linspace(1, 100, 50).view(-1, 1, 1, 1).expand(50, 12, 6, 5).clone().requires_grad_()
    output = norm.normalise_from_moments(constant)
    assert torch.allclose(output, norm.bias.view(1, -1, 1, 1).expand_as(output), atol=0.05)
    (gradient,) = grad(output.square().sum(), constant)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("patch_size", [1, 2])
def test_a_unet_compiles_to_a_single_graph_with_the_same_output(patch_size: int) -> None:
    network = UNet(Architecture(16, 16, (1, 2), 1, (4,), 0.2, patch_size))
    generator = make_generator(0, "weights")
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.2, generator=generator)
    x, angle = torch.randn(2, 3, 16, 16, generator=make_generator(0, "x")), torch.tensor([0.3, 1.2])
    keys = torch.tensor([5, -7], dtype=torch.int32)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x, angle, keys), network(x, angle, keys), atol=1e-5)
    assert not torch.allclose(network(x, angle, keys), network(x, angle), atol=1e-3)
