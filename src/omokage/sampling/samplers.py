"""Samplers: turn noise into images over any descending list of the schedule's timesteps.

To add a sampler, write one function and add it to SAMPLERS (see CONTRIBUTING.md). At each timestep, a sampler gets the
predicted clean image x0 from the denoiser, and computes x at the next timestep, where x_t = alpha x0 + sigma eps.
Coefficients are float64; x_t is float32 or float64.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import Tensor

from omokage.sampling.denoiser import Denoiser

# The number of a step -> noise of x's shape, different for each step.
Noise = Callable[[int], Tensor]


@dataclass(frozen=True)
class SamplerStep:
    """The state at timestep t: the noisy image x_t, and the clean image x0 that the denoiser predicts from x_t."""

    t: int
    x_t: Tensor
    x0: Tensor


# Denoiser, x at timesteps[0], descending timesteps, noise -> the state at every timestep. The last x0 is the result.
Sampler = Callable[[Denoiser, Tensor, Sequence[int], Noise], Iterator[SamplerStep]]


def sample_ancestral(
    denoiser: Denoiser, x: Tensor, timesteps: Sequence[int], noise: Noise, large_variance: bool
) -> Iterator[SamplerStep]:
    """Yield the steps of DDPM's ancestral sampling (Ho et al. 2020, eq. 6 and 7).

    The variance of the noise is beta with `large_variance`, else the variance of the posterior (section 3.2 there).
    """
    for i, (t, t_next) in enumerate(pairwise(timesteps)):
        x0 = denoiser.predict_x0(x, t)
        yield SamplerStep(t, x, x0)
        (alpha, sigma), (alpha_next, sigma_next) = denoiser.get_alpha_sigma(t), denoiser.get_alpha_sigma(t_next)
        ratio = alpha / alpha_next
        beta = 1 - ratio**2
        mean = alpha_next * beta / sigma**2 * x0 + ratio * sigma_next**2 / sigma**2 * x
        x = mean + (beta if large_variance else beta * sigma_next**2 / sigma**2) ** 0.5 * noise(i)
    yield SamplerStep(timesteps[-1], x, denoiser.predict_x0(x, timesteps[-1]))


def sample_ddim(
    denoiser: Denoiser, x: Tensor, timesteps: Sequence[int], noise: Noise, eta: float
) -> Iterator[SamplerStep]:
    """Yield the steps of DDIM (Song et al. 2021, eq. 12).

    With eta = 0 they are deterministic. With eta = 1 they are those of ancestral sampling (eq. 16).
    """
    for i, (t, t_next) in enumerate(pairwise(timesteps)):
        x0 = denoiser.predict_x0(x, t)
        yield SamplerStep(t, x, x0)
        (alpha, sigma), (alpha_next, sigma_next) = denoiser.get_alpha_sigma(t), denoiser.get_alpha_sigma(t_next)
        noise_std = eta * sigma_next / sigma * (1 - (alpha / alpha_next) ** 2) ** 0.5
        x = alpha_next * x0 + max(0.0, sigma_next**2 - noise_std**2) ** 0.5 / sigma * (x - alpha * x0)
        if noise_std > 0:
            x = x + noise_std * noise(i)
    yield SamplerStep(timesteps[-1], x, denoiser.predict_x0(x, timesteps[-1]))


def step_along_flow(x: Tensor, x0: Tensor, level: tuple[float, float], level_next: tuple[float, float]) -> Tensor:
    """Return x after one step of the probability flow ODE, with x0 taken as constant during the step.

    The step goes from the noise level `level` to `level_next`, both (alpha, sigma).
    """
    return level_next[1] / level[1] * (x - level[0] * x0) + level_next[0] * x0


def sample_dpm_solver(denoiser: Denoiser, x: Tensor, timesteps: Sequence[int], noise: Noise) -> Iterator[SamplerStep]:
    """Yield the steps of DPM-Solver++(2M), which is of second order (Lu et al. 2022b, algorithm 2).

    Each step evaluates the network once, and extrapolates x0 from this and the previous evaluation.
    """
    x0_previous: Tensor | None = None
    h_previous = 0.0
    for t, t_next in pairwise(timesteps):
        x0 = denoiser.predict_x0(x, t)
        yield SamplerStep(t, x, x0)
        level, level_next = denoiser.get_alpha_sigma(t), denoiser.get_alpha_sigma(t_next)
        h = _compute_half_log_snr(level_next) - _compute_half_log_snr(level)
        # A step from pure noise is infinitely long, so this step and the step after it are of first order.
        r = 0.0 if x0_previous is None or math.isinf(h_previous) else h / h_previous / 2
        x = step_along_flow(x, x0 if x0_previous is None else x0 + r * (x0 - x0_previous), level, level_next)
        x0_previous, h_previous = x0, h
    yield SamplerStep(timesteps[-1], x, denoiser.predict_x0(x, timesteps[-1]))


def _compute_half_log_snr(level: tuple[float, float]) -> float:
    return math.log(level[0] / level[1]) if level[0] > 0 else -math.inf


def sample_heun(denoiser: Denoiser, x: Tensor, timesteps: Sequence[int], noise: Noise) -> Iterator[SamplerStep]:
    """Yield the steps of Heun's method on the probability flow ODE (Karras et al. 2022, algorithm 1).

    A step uses the mean of the x0 predicted at its start and at its end, which takes two network evaluations. The
    linear part of the ODE is solved exactly (Lu et al. 2022b, eq. 8), so the method can start from pure noise.
    """
    for t, t_next in pairwise(timesteps):
        x0 = denoiser.predict_x0(x, t)
        yield SamplerStep(t, x, x0)
        level, level_next = denoiser.get_alpha_sigma(t), denoiser.get_alpha_sigma(t_next)
        x0_next = denoiser.predict_x0(step_along_flow(x, x0, level, level_next), t_next)
        x = step_along_flow(x, (x0 + x0_next) / 2, level, level_next)
    yield SamplerStep(timesteps[-1], x, denoiser.predict_x0(x, timesteps[-1]))


@dataclass(frozen=True)
class SamplerSpec:
    """A sampler: its function, its network evaluations per step, and whether the function also takes `eta`."""

    sample: Callable[..., Iterator[SamplerStep]]
    evaluations_per_step: int = 1
    uses_eta: bool = False


# The names are the choices of `sampler` in params/sample.py. The tests of samplers run for every entry.
SAMPLERS: dict[str, SamplerSpec] = {
    "ddpm": SamplerSpec(partial(sample_ancestral, large_variance=False)),
    "ddpm-large": SamplerSpec(partial(sample_ancestral, large_variance=True)),
    "ddim": SamplerSpec(sample_ddim, uses_eta=True),
    "dpm-solver++": SamplerSpec(sample_dpm_solver),
    "heun": SamplerSpec(sample_heun, evaluations_per_step=2),
}


def get_sampler(name: str, eta: float) -> Sampler:
    """Return the sampler `name`. Only the sampler ddim uses `eta`."""
    spec = SAMPLERS[name]
    return partial(spec.sample, eta=eta) if spec.uses_eta else spec.sample


def count_timesteps(name: str, evaluations: int) -> int:
    """Return how many timesteps the sampler `name` visits with at most `evaluations` network evaluations.

    At the last timestep it takes no step, and evaluates the network once.
    """
    return (evaluations - 1) // SAMPLERS[name].evaluations_per_step + 1
