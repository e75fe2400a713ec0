"""From noise to pictures: ancestral DDPM and DDIM, over any descending subset of the schedule's steps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omokage.diffusion.objective import implied_noise, predicted_x0
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
        alpha, sigma = float(self.schedule.alpha[t]), float(self.schedule.sigma[t])
        angle = torch.full((len(x_t),), float(self.schedule.angle[t]), device=x_t.device)
        output = self.network(x_t, angle)
        clean = predicted_x0(self.prediction, output, x_t, torch.tensor(alpha), torch.tensor(sigma))
        return clean.clamp(self.low, self.high)


@dataclass(frozen=True)
class Moment:
    """One step of the noise removal: x_t at step t, and the clean picture the network saw in it."""

    t: int
    x_t: Tensor
    x0: Tensor


def trailing(timesteps: int, steps: int) -> list[int]:
    """Return `steps` of the T steps, descending from T - 1 (Lin et al. 2024, table 2: no step of noise is skipped)."""
    return [round((index + 1) * timesteps / steps) - 1 for index in reversed(range(steps))]


def ddpm(alpha_bar: float, previous: float, eta: float) -> float:
    """Return the standard deviation of fresh noise in ancestral sampling, the posterior's (Ho et al. 2020, eq. 7)."""
    return ((1 - previous) / (1 - alpha_bar) * (1 - alpha_bar / previous)) ** 0.5


def ddim(alpha_bar: float, previous: float, eta: float) -> float:
    """Return eta times the above: none at eta = 0 (Song et al. 2021, eq. 16)."""
    return eta * ddpm(alpha_bar, previous, 1.0)


SAMPLERS: dict[str, Callable[[float, float, float], float]] = {"ddpm": ddpm, "ddim": ddim}


def denoise(
    denoiser: Denoiser, x: Tensor, steps: Sequence[int], sampler: str, eta: float, noise: Noise
) -> Iterator[Moment]:
    """Remove the noise of x [n, c, h, w], which is at noise level steps[0], and yield every moment.

    `steps` descend; after the last the picture is clean, and the last moment's x0 is the result. `noise(i)` gives the
    fresh noise of the i-th step, of x's shape. Each step is Song et al. 2021, eq. 12: with the posterior's variance it
    is exactly DDPM's, on any subset of steps.
    """
    spread = SAMPLERS[sampler]
    for i, t in enumerate(steps):
        x0 = denoiser.x0(x, t)
        yield Moment(t, x, x0)
        if i + 1 == len(steps):
            return
        alpha_bar = float(denoiser.schedule.alphas_cumprod[t])
        previous = float(denoiser.schedule.alphas_cumprod[steps[i + 1]])
        fresh = spread(alpha_bar, previous, eta)
        eps = implied_noise(x0, x, torch.tensor(alpha_bar**0.5), torch.tensor((1 - alpha_bar) ** 0.5))
        x = previous**0.5 * x0 + max(0.0, 1 - previous - fresh**2) ** 0.5 * eps
        if fresh > 0:
            x = x + fresh * noise(i)
