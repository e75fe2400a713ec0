"""Samplers, compared with diffusers step by step and with a Gaussian whose ideal denoiser has a closed form."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import get_args

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from support.gaussian import MEAN, STD, make_ideal_denoiser, make_unclipped_denoiser, repeat_noise
from torch import Tensor

from omokage.compute.seeding import make_generator
from omokage.diffusion.schedule import Schedule
from omokage.params.sample import Sampler
from omokage.sampling.denoiser import Denoiser
from omokage.sampling.guidance import apply_autoguidance
from omokage.sampling.samplers import SAMPLERS, count_timesteps, get_sampler
from omokage.sampling.spacing import SPACINGS, space_trailing

# The orders of convergence; a sampler that is not listed must have at least the first order.
ORDERS = {"ddpm": 1, "ddpm-large": 1, "ddim": 1, "dpm-solver++": 2, "heun": 2}
PREDICTIONS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
COSINE = Schedule.make("cosine", 1000)


def test_the_registry_has_every_choice_of_the_parameter() -> None:
    assert (*SAMPLERS,) == get_args(Sampler), "list it in Sampler of params/sample.py and in SAMPLERS of samplers.py"


def fixed_network(x: Tensor, angle: Tensor) -> Tensor:
    """Return a smooth function of the image and the noise level."""
    return torch.tanh(x.flip(-1)) * torch.cos(angle)[:, None, None, None]


def evaluate_network(t: int, x: Tensor) -> Tensor:
    """Return the network's output for x at timestep t of the cosine schedule."""
    return fixed_network(x, torch.full((len(x),), float(COSINE.angle[t])))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("steps", [1000, 250])
@pytest.mark.parametrize(("name", "variance"), [("ddpm", "fixed_small"), ("ddpm-large", "fixed_large")])
def test_ancestral_sampling_equals_that_of_diffusers_step_by_step(
    prediction: str, steps: int, name: str, variance: str
) -> None:
    scheduler = DDPMScheduler(
        1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=PREDICTIONS[prediction],
        variance_type=variance,
        clip_sample=False,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(steps)
    denoiser = make_unclipped_denoiser(fixed_network, prediction, COSINE)
    timesteps = space_trailing(COSINE, steps)
    assert timesteps == scheduler.timesteps.tolist()
    # Without the noisiest timesteps, where dividing by an alpha near zero amplifies the rounding of float32 in both.
    for i in range(steps // 20, steps - 1, steps // 25):
        x = torch.randn(2, 3, 4, 4, generator=make_generator(i, "test"))
        t, output = timesteps[i], evaluate_network(timesteps[i], x)
        expected = scheduler.step(output, t, x, generator=torch.Generator().manual_seed(i)).prev_sample
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(i))
        *_, last = get_sampler(name, 0.0)(denoiser, x, timesteps[i : i + 2], repeat_noise(noise))
        torch.testing.assert_close(last.x_t, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_equals_that_of_diffusers_step_by_step(eta: float) -> None:
    scheduler = DDIMScheduler(1000, beta_schedule="squaredcos_cap_v2", clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(50)
    denoiser = make_unclipped_denoiser(fixed_network, "eps", COSINE)
    timesteps = space_trailing(COSINE, 50)
    for i in range(3, 49, 5):
        x = torch.randn(2, 3, 4, 4, generator=make_generator(i, "test"))
        noise = torch.randn(x.shape, generator=make_generator(i, "fresh"))
        t, output = timesteps[i], evaluate_network(timesteps[i], x)
        expected = scheduler.step(output, t, x, eta=eta, variance_noise=noise).prev_sample
        *_, last = get_sampler("ddim", eta)(denoiser, x, timesteps[i : i + 2], repeat_noise(noise))
        torch.testing.assert_close(last.x_t, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_dpm_solver_equals_that_of_diffusers_at_every_step(prediction: str) -> None:
    steps = 20
    scheduler = DPMSolverMultistepScheduler(
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
    scheduler.set_timesteps(steps)
    schedule = Schedule.make("linear", 1000)
    denoiser = make_unclipped_denoiser(fixed_network, prediction, schedule)
    x = start = torch.randn(2, 3, 4, 4, generator=make_generator(0, "test"))
    timesteps = scheduler.timesteps.tolist()
    expected = []
    for t in timesteps:
        expected.append(x)
        angle = torch.full((len(x),), float(schedule.angle[t]))
        x = scheduler.step(fixed_network(x, angle), t, x).prev_sample
    sampler_steps = list(get_sampler("dpm-solver++", 0.0)(denoiser, start, timesteps, repeat_noise(start)))
    for step, expected_x_t in zip(sampler_steps, expected, strict=True):
        torch.testing.assert_close(step.x_t, expected_x_t, rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(sampler_steps[-1].x0, x, rtol=1e-5, atol=2e-5)


def compute_mean_and_std(
    name: str, eta: float, denoiser: Denoiser, timesteps: list[int], start_std: float = 1.0
) -> tuple[float, float]:
    """Return the exact mean and standard deviation of the sampler's x_t at the last timestep.

    At the first timestep, x_t is noise of standard deviation `start_std`.

    The ideal denoiser is linear, so x_t is a weighted sum of the noises plus a constant. Image k gets a one as
    noise k and zeros otherwise, so it shows the weight of noise k. The last image gets only zeros, so it shows the
    constant.
    """
    unit = torch.eye(len(timesteps) + 1, dtype=torch.float64)

    def noise(number: int) -> Tensor:
        return torch.cat([unit[number], torch.zeros(1, dtype=torch.float64)]).view(-1, 1, 1, 1)

    *_, last = get_sampler(name, eta)(denoiser, start_std * noise(0), timesteps, lambda i: noise(i + 1))
    values = last.x_t.flatten()
    return float(values[-1]), float(((values[:-1] - values[-1]) ** 2).sum().sqrt())


@pytest.mark.parametrize(("name", "eta"), [*((name, 0.0) for name in SAMPLERS), ("ddim", 1.0), ("ddim", 0.3)])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("spacing", ["trailing", "log-snr"])
def test_every_sampler_with_the_ideal_denoiser_returns_the_gaussian_of_the_data(
    name: str, eta: float, prediction: str, spacing: str
) -> None:
    schedule = Schedule.make("cosine", 1000)
    timesteps = SPACINGS[spacing](schedule, 500)
    mean, std = compute_mean_and_std(name, eta, make_ideal_denoiser(prediction, schedule), timesteps)
    alpha, sigma = float(schedule.alpha[timesteps[-1]]), float(schedule.sigma[timesteps[-1]])
    assert mean == pytest.approx(alpha * MEAN, abs=0.004)
    # The variance beta is too large where x_t constrains the image more than its prior (Ho et al. 2020, section 3.2).
    # The log-snr spacing covers log-SNRs from -20 to 10, so its steps are longer.
    rel = 0.06 if name == "ddpm-large" else 0.03 if spacing == "log-snr" else 0.01
    assert std == pytest.approx(math.sqrt((alpha * STD) ** 2 + sigma**2), rel=rel)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_error_decreases_with_the_order_of_the_sampler(name: str) -> None:
    errors = []
    for count in (40, 80, 160):
        # Evenly spaced in log-SNR, as the theory of these orders assumes, with the same first and last level.
        schedule = Schedule(torch.sigmoid(torch.linspace(5, -7, count, dtype=torch.float64)))
        timesteps = list(reversed(range(count)))
        # The standard deviation of noisy images at the first and at the last timestep.
        start, end = (math.hypot(float(schedule.alpha[t]) * STD, float(schedule.sigma[t])) for t in (-1, 0))
        _, std = compute_mean_and_std(name, 0.0, make_ideal_denoiser("v", schedule), timesteps, start)
        errors.append(abs(std - end))
    rates = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    if name in ORDERS:
        assert rates == pytest.approx([ORDERS[name]] * 2, abs=0.25)
    assert min(rates) > 0.75


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_can_start_from_pure_noise_at_zero_snr(name: str) -> None:
    schedule = Schedule.make("cosine", 200, zero_snr=True)
    for spacing in ("trailing", "log-snr"):
        timesteps = SPACINGS[spacing](schedule, 50)
        assert timesteps[0] == 199
        mean, std = compute_mean_and_std(name, 0.0, make_ideal_denoiser("v", schedule), timesteps)
        assert math.isfinite(mean) and std == pytest.approx(STD, rel=0.15)


def test_autoguidance_removes_errors_that_are_larger_in_the_guiding_network() -> None:
    ideal, timesteps = make_ideal_denoiser("v", COSINE), space_trailing(COSINE, 200)

    def add_error(error: float, x: Tensor, angle: Tensor) -> Tensor:
        return ideal.network(x, angle) + error * angle.double().sin().view(-1, 1, 1, 1)

    def compute_mean(denoiser: Denoiser) -> float:
        return compute_mean_and_std("ddim", 0.0, denoiser, timesteps)[0]

    good, bad = (replace(ideal, network=partial(add_error, error)) for error in (0.1, 0.2))
    means = {scale: compute_mean(apply_autoguidance(good, bad, scale)) for scale in (1.0, 1.5, 2.0)}
    true, unguided = compute_mean(ideal), compute_mean(good)
    assert means[1.0] == pytest.approx(unguided, abs=1e-9)
    assert abs(unguided - true) > 0.05
    assert abs(means[1.5] - true) == pytest.approx(abs(unguided - true) / 2, rel=1e-6)
    assert means[2.0] == pytest.approx(true, abs=1e-9)


@pytest.mark.parametrize("min_log_snr", [-100.0, -3.0, 0.0])
def test_autoguidance_applies_only_at_noise_levels_with_the_minimum_log_snr(min_log_snr: float) -> None:
    evaluated: list[int] = []
    plain = make_unclipped_denoiser(fixed_network, "v", COSINE)

    def guide(t: int, x: Tensor, angle: Tensor) -> Tensor:
        evaluated.append(t)
        return torch.zeros_like(x)

    x, differs = torch.randn(2, 3, 4, 4, generator=make_generator(0, "test")), []
    for t in range(0, 1000, 9):
        guided = apply_autoguidance(plain, replace(plain, network=partial(guide, t)), 2.0, min_log_snr)
        if not torch.equal(guided.predict_x0(x, t), plain.predict_x0(x, t)):
            differs.append(t)
    expected = [t for t in range(0, 1000, 9) if COSINE.log_snr[t] >= min_log_snr]
    assert evaluated == differs == expected and expected


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_evaluates_the_network_the_requested_number_of_times(name: str) -> None:
    calls: list[int] = []

    def count_calls(x: Tensor, angle: Tensor) -> Tensor:
        calls.append(1)
        return fixed_network(x, angle)

    denoiser = make_unclipped_denoiser(count_calls, "v", COSINE)
    x = torch.randn(1, 3, 4, 4, generator=make_generator(0, "test"))
    timesteps = space_trailing(COSINE, count_timesteps(name, 21))
    list(get_sampler(name, 0.0)(denoiser, x, timesteps, repeat_noise(x)))
    assert len(calls) == 21
