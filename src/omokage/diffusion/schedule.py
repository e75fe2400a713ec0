"""Noise schedules: how much image and how much noise a noisy image contains at each of T timesteps.

A noisy image is x_t = alpha_t x_0 + sigma_t eps with alpha_t^2 = alphas_cumprod[t] = 1 - sigma_t^2 (Ho et al. 2020,
eq. 4). Timestep 0 is the least noisy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def compute_linear_schedule(timesteps: int) -> Tensor:
    """Return alphas_cumprod for linearly rising betas (Ho et al. 2020, section 4).

    For T = 1000 betas rise from 1e-4 to 0.02. For other T they are scaled by 1000 / T.
    """
    scale = 1000 / timesteps
    betas = torch.linspace(1e-4 * scale, 0.02 * scale, timesteps, dtype=torch.float64).clamp(max=0.999)
    return torch.cumprod(1 - betas, 0)


def compute_cosine_schedule(timesteps: int) -> Tensor:
    """Return alphas_cumprod of the cosine schedule, with betas of at most 0.999 (Nichol & Dhariwal 2021, eq. 17)."""
    t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return _multiply_ratios(f)


def compute_sigmoid_schedule(timesteps: int) -> Tensor:
    """Return alphas_cumprod of the sigmoid schedule (Jabri et al. 2022; Chen 2023, algorithm 1).

    It is the section of the logistic function from -3 to 3, rescaled to fall from 1 to 0: start, end and tau of
    algorithm 1 are -3, 3 and 1.
    """
    start, end = -3.0, 3.0
    t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    first, last = (torch.sigmoid(torch.tensor(edge, dtype=torch.float64)) for edge in (start, end))
    f = (last - torch.sigmoid(t * (end - start) + start)) / (last - first)
    return _multiply_ratios(f)


def _multiply_ratios(f: Tensor) -> Tensor:
    """Return f[1:] / f[0] as the cumulative product of the ratios f[t + 1] / f[t], with ratios of at least 0.001.

    A ratio is 1 - beta, so beta is at most 0.999.
    """
    return torch.cumprod((f[1:] / f[:-1]).clamp(min=0.001), 0)


SCHEDULES: dict[str, Callable[[int], Tensor]] = {
    "linear": compute_linear_schedule,
    "cosine": compute_cosine_schedule,
    "sigmoid": compute_sigmoid_schedule,
}


def shift_log_snr(alphas_cumprod: Tensor, log_snr_shift: float) -> Tensor:
    """Return alphas_cumprod with `log_snr_shift` nats added to the log-SNR at every timestep.

    Hoogeboom et al. 2023, eq. 3, use 2 ln(64 / side) for images with a side of more than 64 pixels.
    """
    odds = alphas_cumprod / (1 - alphas_cumprod) * math.exp(log_snr_shift)
    return odds / (1 + odds)


def rescale_to_zero_snr(alphas_cumprod: Tensor) -> Tensor:
    """Return alphas_cumprod rescaled to end at 0, with the first value unchanged (Lin et al. 2024, algorithm 1)."""
    alpha = alphas_cumprod.sqrt()
    return ((alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])) ** 2


@dataclass(frozen=True)
class Schedule:
    """A noise schedule with T timesteps.

    `alphas_cumprod`, float64 [T], lies in [0, 1) and strictly decreases. The properties are float64 [T], too.
    """

    alphas_cumprod: Tensor

    @classmethod
    def make(cls, name: str, timesteps: int, zero_snr: bool = False, log_snr_shift: float = 0.0) -> "Schedule":
        """Return the schedule `name` (a key of SCHEDULES) with T = `timesteps`.

        First `log_snr_shift` is added to the log-SNR. With `zero_snr` the schedule is then rescaled to end at zero SNR.
        """
        alphas_cumprod = shift_log_snr(SCHEDULES[name](timesteps), log_snr_shift)
        return cls(rescale_to_zero_snr(alphas_cumprod) if zero_snr else alphas_cumprod)

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    @property
    def alpha(self) -> Tensor:
        """The factor of the clean image at each timestep."""
        return self.alphas_cumprod.sqrt()

    @property
    def sigma(self) -> Tensor:
        """The factor of the noise at each timestep."""
        return (1 - self.alphas_cumprod).sqrt()

    @property
    def log_snr(self) -> Tensor:
        """The log-SNR, log(alpha^2 / sigma^2), in nats; minus infinity at alpha = 0 (pure noise)."""
        return self.alphas_cumprod.log() - (-self.alphas_cumprod).log1p()

    @property
    def angle(self) -> Tensor:
        """The noise angle atan2(sigma, alpha), in (0, pi/2] radians: the network's input for the noise level.

        Unlike the log-SNR, it is finite at alpha = 0.
        """
        return torch.atan2(self.sigma, self.alpha)

    def to(self, device: torch.device) -> "ScheduleTensors":
        """Return alpha, sigma and angle as float32 on a device, for lookups at every training step."""
        return ScheduleTensors(*(values.float().to(device) for values in (self.alpha, self.sigma, self.angle)))

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return x_t for images x0 [n, c, h, w], noise of that shape, and timesteps t [n] (Ho et al. 2020, eq. 4)."""
        return _select_values(self.alpha, t, x0) * x0 + _select_values(self.sigma, t, x0) * noise


@dataclass(frozen=True)
class ScheduleTensors:
    """The alpha, sigma and angle of a schedule, each float32 [T]."""

    alpha: Tensor
    sigma: Tensor
    angle: Tensor


def _select_values(values: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Return values[t] as [n, 1, 1, 1], with the device and dtype of `like`."""
    return values[t.cpu()].to(like.device, like.dtype).view(-1, 1, 1, 1)
