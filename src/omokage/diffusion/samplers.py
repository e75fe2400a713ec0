"""From noise to pictures, over any descending subset of the schedule's steps. A new sampler is one function.

Each takes a step's clean picture as the network sees it (x0) and leads from x_t to the next noise level; alpha and
sigma are those of x_t = alpha x0 + sigma eps. The state is float32 or better, the coefficients are float64.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from omokage.diffusion.objective import predicted_x0
from omokage.diffusion.schedule import Schedule

Network = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[int], Tensor]


@dataclass(frozen=True)
class Denoiser:
    """A network with all that is needed to read its output as a clean picture.

    `low` and `high`, which broadcast over pictures, are the least and the largest value that a picture can take in the
    network's space: x0 is clipped to them.
    """

    network: Network
    prediction: str
    schedule: Schedule
    low: Tensor
    high: Tensor

    def x0(self, x_t: Tensor, t: int) -> Tensor:
        """Return the clean picture [n, c, h, w], float32, that the network sees in x_t at step t."""
        alpha, sigma = (torch.tensor(value) for value in self.level(t))
        angle = torch.full((len(x_t),), float(self.schedule.angle[t]), device=x_t.device)
        return predicted_x0(self.prediction, self.network(x_t, angle), x_t, alpha, sigma).clamp(self.low, self.high)

    def level(self, t: int) -> tuple[float, float]:
        """Return alpha and sigma of step t."""
        return float(self.schedule.alpha[t]), float(self.schedule.sigma[t])


@dataclass(frozen=True)
class Moment:
    """One step of the noise removal: x_t at step t, and the clean picture the network saw in it."""

    t: int
    x_t: Tensor
    x0: Tensor


# x at steps[0], the steps, descending, and fresh noise of x's shape for the i-th step -> every moment. After the last
# step the picture is clean: the last moment's x0 is the result.
Sampler = Callable[[Denoiser, Tensor, Sequence[int], Noise], Iterator[Moment]]


def ancestral(denoiser: Denoiser, x: Tensor, steps: Sequence[int], noise: Noise, large: bool) -> Iterator[Moment]:
    """Ho et al. 2020, eq. 6 and 7, with the posterior's variance or, if `large`, beta (their section 3.2)."""
    for i, (t, following) in enumerate(pairwise(steps)):
        x0 = denoiser.x0(x, t)
        yield Moment(t, x, x0)
        (alpha, sigma), (alpha_next, sigma_next) = denoiser.level(t), denoiser.level(following)
        kept = alpha / alpha_next
        beta = 1 - kept**2
        mean = alpha_next * beta / sigma**2 * x0 + kept * sigma_next**2 / sigma**2 * x
        x = mean + (beta if large else beta * sigma_next**2 / sigma**2) ** 0.5 * noise(i)
    yield Moment(steps[-1], x, denoiser.x0(x, steps[-1]))


def ddim(denoiser: Denoiser, x: Tensor, steps: Sequence[int], noise: Noise, eta: float) -> Iterator[Moment]:
    """Song et al. 2021, eq. 12: deterministic at eta = 0, ancestral sampling at eta = 1 (eq. 16)."""
    for i, (t, following) in enumerate(pairwise(steps)):
        x0 = denoiser.x0(x, t)
        yield Moment(t, x, x0)
        (alpha, sigma), (alpha_next, sigma_next) = denoiser.level(t), denoiser.level(following)
        fresh = eta * sigma_next / sigma * (1 - (alpha / alpha_next) ** 2) ** 0.5
        x = alpha_next * x0 + max(0.0, sigma_next**2 - fresh**2) ** 0.5 / sigma * (x - alpha * x0)
        if fresh > 0:
            x = x + fresh * noise(i)
    yield Moment(steps[-1], x, denoiser.x0(x, steps[-1]))


def towards(x: Tensor, x0: Tensor, here: tuple[float, float], there: tuple[float, float]) -> Tensor:
    """Follow the probability flow from one (alpha, sigma) to another as if the network saw x0 all the way."""
    return there[1] / here[1] * (x - here[0] * x0) + there[0] * x0


def dpm_solver(denoiser: Denoiser, x: Tensor, steps: Sequence[int], noise: Noise) -> Iterator[Moment]:
    """DPM-Solver++(2M): second order from one evaluation a step and the last one (Lu et al. 2022b, algorithm 2)."""
    before: Tensor | None = None
    behind = 0.0
    for t, following in pairwise(steps):
        x0 = denoiser.x0(x, t)
        yield Moment(t, x, x0)
        here, there = denoiser.level(t), denoiser.level(following)
        ahead = _half_log_snr(there) - _half_log_snr(here)
        # From pure noise the step is infinitely long, and so is the one that would look back at it.
        ratio = 0.0 if before is None or math.isinf(behind) else ahead / behind / 2
        x = towards(x, x0 if before is None else x0 + ratio * (x0 - before), here, there)
        before, behind = x0, ahead
    yield Moment(steps[-1], x, denoiser.x0(x, steps[-1]))


def _half_log_snr(level: tuple[float, float]) -> float:
    return math.log(level[0] / level[1]) if level[0] > 0 else -math.inf


def heun(denoiser: Denoiser, x: Tensor, steps: Sequence[int], noise: Noise) -> Iterator[Moment]:
    """Heun's method on the probability flow: the mean of x0 at both ends of a step, two evaluations for each.

    As in Karras et al. 2022, algorithm 1, but with the noise scaled out exactly (Lu et al. 2022b, eq. 8), so that it
    also starts from pure noise.
    """
    for t, following in pairwise(steps):
        x0 = denoiser.x0(x, t)
        yield Moment(t, x, x0)
        here, there = denoiser.level(t), denoiser.level(following)
        arrived = denoiser.x0(towards(x, x0, here, there), following)
        x = towards(x, (x0 + arrived) / 2, here, there)
    yield Moment(steps[-1], x, denoiser.x0(x, steps[-1]))


def choose(name: str, eta: float) -> Sampler:
    """Return the sampler `name`; `eta` is ddim's."""
    samplers: dict[str, Sampler] = {
        "ddpm": partial(ancestral, large=False),
        "ddpm-large": partial(ancestral, large=True),
        "ddim": partial(ddim, eta=eta),
        "dpm-solver++": dpm_solver,
        "heun": heun,
    }
    return samplers[name]


def levels(name: str, evaluations: int) -> int:
    """Return how many noise levels the sampler `name` visits with at most that many network evaluations."""
    return (evaluations + 1) // 2 if name == "heun" else evaluations


def trailing(schedule: Schedule, steps: int) -> list[int]:
    """Return `steps` steps, evenly spread, descending from the last (Lin et al. 2024, table 2: no noise is skipped)."""
    return [round((index + 1) * len(schedule) / steps) - 1 for index in reversed(range(steps))]


def leading(schedule: Schedule, steps: int) -> list[int]:
    """Return `steps` steps, evenly spread, descending to step 0 (as Song et al. 2021); most noise is skipped."""
    return [index * (len(schedule) // steps) for index in reversed(range(steps))]


def log_snr(schedule: Schedule, steps: int) -> list[int]:
    """Return `steps` different steps, descending from the last to step 0, as even in log-SNR as whole steps allow."""
    values = schedule.log_snr
    # Pure noise has none: the ladder then ends at the step before.
    lowest = values[torch.isfinite(values)].min()
    wanted = torch.linspace(float(lowest), float(values[0]), steps, dtype=torch.float64)
    chosen: list[int] = []
    for index, value in enumerate(wanted):
        nearest = len(schedule) - 1 if index == 0 else int((values - value).abs().argmin())
        # Whole steps may coincide: each needs one of its own, and so do those still to come.
        highest = chosen[-1] - 1 if chosen else nearest
        chosen.append(max(min(nearest, highest), steps - 1 - index))
    return chosen


# The log-SNR, in nats, below which pictures of up to a hundred pixels a side are alike but for noise, and how far apart
# stops above it may be.
COARSEST, FAR = -7.0, 1.2


def early(schedule: Schedule, steps: int) -> list[int]:
    """Return `steps` steps: as `trailing`, but up to a sixth of them before its first stop, even in log-SNR.

    Overall colours are decided there. In one leap from pure noise all pictures take the mean of them, and what is far
    from it is hardly ever drawn.
    """
    plain = trailing(schedule, steps)
    gap = float(schedule.log_snr[plain[1]]) - COARSEST if steps > 1 else 0.0
    extra = min(steps // 6, max(0, math.ceil(gap / FAR)))
    last, *rest = trailing(schedule, steps - extra)
    wanted = torch.linspace(COARSEST, float(schedule.log_snr[rest[0]]) if rest else 0.0, extra + 1)[:-1]
    chosen = [last, *(int((schedule.log_snr - value).abs().argmin()) for value in wanted), *rest]
    # Where there are too few steps for that, whole ones coincide.
    return chosen if all(here > there for here, there in pairwise(chosen)) else plain


SPACINGS: dict[str, Callable[[Schedule, int], list[int]]] = {
    "early": early,
    "trailing": trailing,
    "leading": leading,
    "log-snr": log_snr,
}
