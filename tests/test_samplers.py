"""Samplers against diffusers, step by step, and against a Gaussian whose ideal denoiser is known in closed form."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from omokage.diffusion.guidance import guided
from omokage.diffusion.objective import target
from omokage.diffusion.random import generator
from omokage.diffusion.samplers import SPACINGS, Denoiser, Noise, choose, early, levels, trailing
from omokage.diffusion.schedule import SCHEDULES, Schedule

NO_LIMIT = torch.tensor(math.inf).view(1, 1, 1, 1)
NAMES = ("ddpm", "ddpm-large", "ddim", "dpm-solver++", "heun")
PREDICTIONS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
COSINE = Schedule.make("cosine", 1000)


def always(value: Tensor, _: int) -> Tensor:
    return value


def fixed_network(x: Tensor, angle: Tensor) -> Tensor:
    """Some smooth function of picture and noise level."""
    return torch.tanh(x.flip(-1)) * torch.cos(angle)[:, None, None, None]


def said(t: int, x: Tensor) -> Tensor:
    return fixed_network(x, torch.full((len(x),), float(COSINE.angle[t])))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("steps", [1000, 250])
@pytest.mark.parametrize(("name", "variance"), [("ddpm", "fixed_small"), ("ddpm-large", "fixed_large")])
def test_ancestral_sampling_equals_diffusers_step_by_step(
    prediction: str, steps: int, name: str, variance: str
) -> None:
    oracle = DDPMScheduler(
        1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=PREDICTIONS[prediction],
        variance_type=variance,
        clip_sample=False,
        timestep_spacing="trailing",
    )
    oracle.set_timesteps(steps)
    denoiser = Denoiser(fixed_network, prediction, COSINE, -NO_LIMIT, NO_LIMIT)
    visited = trailing(COSINE, steps)
    assert visited == oracle.timesteps.tolist()
    # Away from the noisiest steps, where dividing by an alpha near zero amplifies float32's last bit in both.
    for i in range(steps // 20, steps - 1, steps // 25):
        x = torch.randn(2, 3, 4, 4, generator=generator(i, "test"))
        theirs = oracle.step(said(visited[i], x), visited[i], x, generator=torch.Generator().manual_seed(i)).prev_sample
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(i))
        ours = list(choose(name, 0.0)(denoiser, x, visited[i : i + 2], partial(always, noise)))[-1].x_t
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_equals_diffusers_step_by_step(eta: float) -> None:
    oracle = DDIMScheduler(1000, beta_schedule="squaredcos_cap_v2", clip_sample=False, timestep_spacing="trailing")
    oracle.set_timesteps(50)
    denoiser = Denoiser(fixed_network, "eps", COSINE, -NO_LIMIT, NO_LIMIT)
    visited = trailing(COSINE, 50)
    for i in range(3, 49, 5):
        x = torch.randn(2, 3, 4, 4, generator=generator(i, "test"))
        noise = torch.randn(x.shape, generator=generator(i, "fresh"))
        theirs = oracle.step(said(visited[i], x), visited[i], x, eta=eta, variance_noise=noise).prev_sample
        ours = list(choose("ddim", eta)(denoiser, x, visited[i : i + 2], partial(always, noise)))[-1].x_t
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_dpm_solver_equals_diffusers_along_the_whole_way(prediction: str) -> None:
    steps = 20
    oracle = DPMSolverMultistepScheduler(
        1000,
        beta_schedule="linear",
        beta_start=1e-4,
        beta_end=0.02,
        prediction_type=PREDICTIONS[prediction],
        algorithm_type="dpmsolver++",
        solver_order=2,
        final_sigmas_type="zero",
        timestep_spacing="trailing",
    )
    oracle.set_timesteps(steps)
    schedule = Schedule.make("linear", 1000)
    denoiser = Denoiser(fixed_network, prediction, schedule, -NO_LIMIT, NO_LIMIT)
    x = start = torch.randn(2, 3, 4, 4, generator=generator(0, "test"))
    visited = oracle.timesteps.tolist()
    theirs = []
    for t in visited:
        theirs.append(x)
        angle = torch.full((len(x),), float(schedule.angle[t]))
        x = oracle.step(fixed_network(x, angle), t, x).prev_sample
    ours = list(choose("dpm-solver++", 0.0)(denoiser, start, visited, partial(always, start)))
    for moment, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(moment.x_t, wanted, rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(ours[-1].x0, x, rtol=1e-5, atol=2e-5)


MEAN, STD = 0.4, 0.5


def ideal(prediction: str, schedule: Schedule) -> Denoiser:
    """What no network can better for pixels drawn from N(MEAN, STD^2)."""

    def network(x: Tensor, angle: Tensor) -> Tensor:
        alpha, sigma = angle.double().cos().view(-1, 1, 1, 1), angle.double().sin().view(-1, 1, 1, 1)
        x0 = MEAN + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * MEAN)
        return target(prediction, x0, (x - alpha * x0) / sigma, alpha, sigma)

    return Denoiser(network, prediction, schedule, -NO_LIMIT, NO_LIMIT)


def moments(name: str, eta: float, denoiser: Denoiser, steps: list[int], at: int) -> tuple[float, float]:
    """Return mean and standard deviation of the sampler's x_t at its step number `at`, exactly.

    The ideal denoiser is linear, so x_t is a sum of the noises, each times a factor: one picture for each finds it.
    """
    probes = len(steps) + 1
    unit = torch.eye(probes, dtype=torch.float64)

    def noise(number: int) -> Tensor:
        return torch.cat([unit[number], torch.zeros(1, dtype=torch.float64)]).view(-1, 1, 1, 1)

    along = list(choose(name, eta)(denoiser, noise(0), steps, lambda i: noise(i + 1)))
    values = along[at].x_t.flatten()
    return float(values[-1]), float(((values[:-1] - values[-1]) ** 2).sum().sqrt())


@pytest.mark.parametrize(("name", "eta"), [*((name, 0.0) for name in NAMES), ("ddim", 1.0), ("ddim", 0.3)])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("spacing", ["trailing", "log-snr"])
def test_every_sampler_returns_a_gaussian_whose_denoiser_is_known(
    name: str, eta: float, prediction: str, spacing: str
) -> None:
    schedule = Schedule.make("cosine", 1000)
    steps = SPACINGS[spacing](schedule, 500)
    mean, std = moments(name, eta, ideal(prediction, schedule), steps, -1)
    alpha, sigma = float(schedule.alpha[steps[-1]]), float(schedule.sigma[steps[-1]])
    assert mean == pytest.approx(alpha * MEAN, abs=0.004)
    # Beta is too large a variance wherever the picture is known better than its prior (Ho et al. 2020, section 3.2).
    # Over the whole range of log-SNR, from -20 to 10, a step of even spacing is longer.
    rel = 0.06 if name == "ddpm-large" else 0.03 if spacing == "log-snr" else 0.01
    assert std == pytest.approx(math.sqrt((alpha * STD) ** 2 + sigma**2), rel=rel)


@pytest.mark.parametrize(("name", "order"), [("ddpm", 1), ("ddim", 1), ("dpm-solver++", 2), ("heun", 2)])
def test_the_error_falls_with_the_order_of_the_sampler(name: str, order: int) -> None:
    errors = []
    for count in (40, 80, 160):
        # Evenly spaced in log-SNR, where the theory of these orders holds, with the same two ends.
        schedule = Schedule(torch.sigmoid(torch.linspace(5, -7, count, dtype=torch.float64)))
        steps = list(reversed(range(count)))
        start = float(schedule.alpha[-1]), float(schedule.sigma[-1])
        end = float(schedule.alpha[0]), float(schedule.sigma[0])
        _, std = moments(name, 0.0, ideal("v", schedule), steps, -1)
        # The probability flow keeps x_t's place in its distribution; ancestral sampling forgets where it began.
        begun = 1 / math.hypot(start[0] * STD, start[1]) if name != "ddpm" else 1.0
        errors.append(abs(std - begun * math.hypot(end[0] * STD, end[1])))
    rates = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert rates == pytest.approx([order, order], abs=0.25)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_that_ends_in_pure_noise_can_be_sampled(name: str) -> None:
    schedule = Schedule.make("cosine", 200, zero_snr=True)
    for spacing in ("trailing", "log-snr"):
        steps = SPACINGS[spacing](schedule, 50)
        assert steps[0] == 199
        mean, std = moments(name, 0.0, ideal("v", schedule), steps, -1)
        assert math.isfinite(mean) and std == pytest.approx(STD, rel=0.15)


def test_guidance_undoes_what_a_worse_network_does_worse() -> None:
    right, steps = ideal("v", COSINE), trailing(COSINE, 200)

    def wrong(by: float, x: Tensor, angle: Tensor) -> Tensor:
        return right.network(x, angle) + by * angle.double().sin().view(-1, 1, 1, 1)

    some, more = (replace(right, network=partial(wrong, by)) for by in (0.1, 0.2))
    means = {g: moments("ddim", 0.0, guided(some, more, g), steps, -1)[0] for g in (1.0, 1.5, 2.0)}
    true, unguided = (moments("ddim", 0.0, denoiser, steps, -1)[0] for denoiser in (right, some))
    assert means[1.0] == pytest.approx(unguided, abs=1e-9)
    assert abs(unguided - true) > 0.05
    assert abs(means[1.5] - true) == pytest.approx(abs(unguided - true) / 2, rel=1e-6)
    assert means[2.0] == pytest.approx(true, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(list(SPACINGS)),
    schedule=st.sampled_from(list(SCHEDULES)),
    zero_snr=st.booleans(),
    timesteps=st.integers(2, 1000),
    data=st.data(),
)
def test_a_spacing_gives_as_many_different_steps_as_asked(
    name: str, schedule: str, zero_snr: bool, timesteps: int, data: st.DataObject
) -> None:
    steps = data.draw(st.integers(1, timesteps))
    visited = SPACINGS[name](Schedule.make(schedule, timesteps, zero_snr), steps)
    assert len(visited) == steps
    assert all(a > b for a, b in pairwise(visited))
    assert visited[-1] >= 0 and visited[0] <= timesteps - 1
    assert visited[0] == timesteps - 1 or name == "leading"
    if name not in ("early", "trailing") and steps > 1:
        assert visited[-1] == 0


def test_early_spacing_fills_the_leap_from_pure_noise_and_is_trailing_where_there_is_none() -> None:
    schedule = Schedule.make("cosine", 1000, False, 1.4)
    visited = early(schedule, 20)
    log_snr = schedule.log_snr[visited]
    assert float(log_snr[1]) == pytest.approx(-7, abs=0.1)
    assert float(log_snr[1:6].diff().max()) < 1.5 < float(schedule.log_snr[trailing(schedule, 20)][1]) + 7
    assert visited[4:] == trailing(schedule, 17)[1:]
    assert early(schedule, 100) == trailing(schedule, 100)
    assert early(schedule, 5) == trailing(schedule, 5)


@pytest.mark.parametrize("spacing", ["early", "trailing"])
def test_colours_far_from_their_mean_are_drawn_only_if_the_leap_is_filled(spacing: str) -> None:
    # Flat pictures of 32 x 32 pixels in one of five shades of grey: the ideal denoiser is a softmax over them.
    schedule = Schedule.make("cosine", 1000, False, 1.4)
    shades = torch.linspace(-0.3, 0.3, 5, dtype=torch.float64)

    def ideal_v(x: Tensor, angle: Tensor) -> Tensor:
        alpha, sigma = torch.cos(angle[0]).double(), torch.sin(angle[0]).double()
        mean, pixels = x.double().mean((1, 2, 3)), x[0].numel()
        weight = (-((mean[:, None] - alpha * shades) ** 2) * pixels / (2 * sigma**2)).softmax(1)
        return (alpha * x - (weight * shades).sum(1).view(-1, 1, 1, 1)) / sigma

    denoiser = Denoiser(ideal_v, "v", schedule, -NO_LIMIT, NO_LIMIT)
    steps = SPACINGS[spacing](schedule, 20)

    def noise(step: int) -> Tensor:
        return torch.randn(400, 3, 32, 32, generator=generator(0, "shades", step))

    *_, last = choose("ddpm", 0.0)(denoiser, noise(-1), steps, noise)
    found = (last.x0.mean((1, 2, 3))[:, None] - shades).abs().argmin(1).bincount(minlength=5) / 400
    if spacing == "early":
        assert float(found.min()) > 0.1
    else:
        assert float(found[[0, 4]].max()) < 0.06


def test_log_snr_spacing_is_even_where_whole_steps_allow() -> None:
    schedule = Schedule.make("linear", 10_000)
    gaps = schedule.log_snr[SPACINGS["log-snr"](schedule, 20)].diff()
    assert float(gaps.max() / gaps.min()) < 1.05


@pytest.mark.parametrize("name", NAMES)
def test_a_sampler_evaluates_the_network_as_often_as_asked(name: str) -> None:
    calls: list[int] = []

    def counting(x: Tensor, angle: Tensor) -> Tensor:
        calls.append(1)
        return fixed_network(x, angle)

    denoiser = Denoiser(counting, "v", COSINE, -NO_LIMIT, NO_LIMIT)
    x = torch.randn(1, 3, 4, 4, generator=generator(0, "test"))
    noise: Noise = partial(always, x)
    list(choose(name, 0.0)(denoiser, x, trailing(COSINE, levels(name, 21)), noise))
    assert len(calls) == 21
