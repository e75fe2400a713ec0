"""The diffusion core against independent oracles."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from omokage.diffusion.objective import implied_noise, predicted_x0, target
from omokage.diffusion.random import generator
from omokage.diffusion.samplers import Denoiser, denoise, trailing
from omokage.diffusion.schedule import SCHEDULES, Schedule
from omokage.diffusion.unet import Architecture, UNet

NO_LIMIT = torch.tensor(math.inf).view(1, 1, 1, 1)


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


@settings(max_examples=50, deadline=None)
@given(
    prediction=st.sampled_from(["eps", "x0", "v"]),
    angle=st.floats(0.05, math.pi / 2 - 0.05),
    seed=st.integers(0, 1000),
)
def test_predictions_turn_into_each_other_exactly(prediction: str, angle: float, seed: int) -> None:
    alpha, sigma = (
        torch.tensor(math.cos(angle), dtype=torch.float64),
        torch.tensor(math.sin(angle), dtype=torch.float64),
    )
    x0, noise = torch.randn(2, 1, 3, 2, 2, generator=generator(seed, "test"), dtype=torch.float64)
    x_t = alpha * x0 + sigma * noise
    said = target(prediction, x0, noise, alpha, sigma)
    torch.testing.assert_close(predicted_x0(prediction, said, x_t, alpha, sigma), x0, rtol=0, atol=1e-12)
    torch.testing.assert_close(implied_noise(x0, x_t, alpha, sigma), noise, rtol=0, atol=1e-12)


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


def constant(value: Tensor, _: int) -> Tensor:
    return value


def fixed_network(x: Tensor, angle: Tensor) -> Tensor:
    """Some smooth function of picture and noise level."""
    return torch.tanh(x.flip(-1)) * torch.cos(angle)[:, None, None, None]


@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
@pytest.mark.parametrize("steps", [1000, 250])
def test_ddpm_equals_diffusers_step_by_step(prediction: str, steps: int) -> None:
    names = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
    oracle = DDPMScheduler(
        1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=names[prediction],
        clip_sample=False,
        timestep_spacing="trailing",
    )
    oracle.set_timesteps(steps)
    schedule = Schedule.make("cosine", 1000)
    denoiser = Denoiser(fixed_network, prediction, schedule, -NO_LIMIT, NO_LIMIT)
    visited = trailing(1000, steps)
    assert visited == oracle.timesteps.tolist()
    # Away from the noisiest steps, where dividing by an alpha near zero amplifies float32's last bit in both.
    for i in range(steps // 20, steps - 1, steps // 25):
        x = torch.randn(2, 3, 4, 4, generator=generator(i, "test"))
        output = fixed_network(x, torch.full((2,), float(schedule.angle[visited[i]])))
        theirs = oracle.step(output, visited[i], x, generator=torch.Generator().manual_seed(i)).prev_sample
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(i))
        moments = denoise(denoiser, x, visited[i : i + 2], "ddpm", 0.0, partial(constant, noise))
        ours = list(moments)[-1].x_t
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_equals_diffusers_step_by_step(eta: float) -> None:
    oracle = DDIMScheduler(1000, beta_schedule="squaredcos_cap_v2", clip_sample=False, timestep_spacing="trailing")
    oracle.set_timesteps(50)
    schedule = Schedule.make("cosine", 1000)
    denoiser = Denoiser(fixed_network, "eps", schedule, -NO_LIMIT, NO_LIMIT)
    visited = trailing(1000, 50)
    for i in range(3, 49, 5):
        x = torch.randn(2, 3, 4, 4, generator=generator(i, "test"))
        noise = torch.randn(x.shape, generator=generator(i, "fresh"))
        output = fixed_network(x, torch.full((2,), float(schedule.angle[visited[i]])))
        theirs = oracle.step(output, visited[i], x, eta=eta, variance_noise=noise).prev_sample
        moments = denoise(denoiser, x, visited[i : i + 2], "ddim", eta, partial(constant, noise))
        torch.testing.assert_close(list(moments)[-1].x_t, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 0.0), ("ddim", 0.0), ("ddim", 1.0)])
@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_samplers_return_a_gaussian_whose_denoiser_is_known(sampler: str, eta: float, prediction: str) -> None:
    schedule = Schedule.make("cosine", 500)
    mean, std = 0.4, 0.5

    def ideal(x: Tensor, angle: Tensor) -> Tensor:
        alpha, sigma = angle.cos().view(-1, 1, 1, 1).double(), angle.sin().view(-1, 1, 1, 1).double()
        x0 = mean + alpha * std**2 / (alpha**2 * std**2 + sigma**2) * (x - alpha * mean)
        return target(prediction, x0, (x - alpha * x0) / sigma, alpha, sigma)

    denoiser = Denoiser(ideal, prediction, schedule, -NO_LIMIT, NO_LIMIT)
    x = torch.randn(40_000, 1, 1, 1, generator=generator(0, "start"), dtype=torch.float64)
    steps = trailing(500, 250)

    def noise(i: int) -> Tensor:
        return torch.randn(x.shape, generator=generator(i, "fresh"), dtype=torch.float64)

    *_, last = denoise(denoiser, x, steps, sampler, eta, noise)
    assert float(last.x0.mean()) == pytest.approx(mean, abs=0.015)
    assert float(last.x0.std()) == pytest.approx(std, rel=0.03)


def test_randomness_depends_on_its_arguments_alone() -> None:
    torch.manual_seed(1)
    first = torch.randn(4, generator=generator(3, "noise", 5))
    torch.manual_seed(2)
    torch.testing.assert_close(torch.randn(4, generator=generator(3, "noise", 5)), first, rtol=0, atol=0)
    others = [generator(3, "noise", 6), generator(3, "order", 5), generator(4, "noise", 5)]
    assert all(not torch.equal(torch.randn(4, generator=other), first) for other in others)


@settings(max_examples=60, deadline=None)
@given(timesteps=st.integers(2, 1000), data=st.data())
def test_trailing_steps_descend_from_the_noisiest(timesteps: int, data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, timesteps))
    visited = trailing(timesteps, steps)
    assert len(visited) == steps
    assert visited[0] == timesteps - 1
    assert all(a > b for a, b in pairwise(visited))
    assert visited[-1] >= 0


@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 2, 2)])
def test_a_unet_keeps_the_shape_and_starts_by_adding_nothing(patch: int, multipliers: tuple[int, ...]) -> None:
    network = UNet(Architecture(16, 16, multipliers, 1, (4,), 0.1, patch)).eval()
    x, angle = torch.randn(2, 3, 16, 16, generator=generator(0, "test")), torch.tensor([0.1, 1.5])
    output = network(x, angle)
    assert output.shape == x.shape
    assert output.dtype == torch.float32
    assert float(output.detach().abs().max()) == 0
