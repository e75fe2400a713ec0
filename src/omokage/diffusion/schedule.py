"""Noise schedules: how much of the picture is left at each of T steps.

A noised picture is x_t = alpha_t x_0 + sigma_t eps with alpha_t^2 = alphas_cumprod[t] = 1 - sigma_t^2
(Ho et al. 2020, eq. 4). Step 0 is the least noisy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def linear(timesteps: int) -> Tensor:
    """Betas rise linearly from 1e-4 to 0.02 at T = 1000, scaled for other T (Ho et al. 2020, section 4)."""
    scale = 1000 / timesteps
    betas = torch.linspace(1e-4 * scale, 0.02 * scale, timesteps, dtype=torch.float64).clamp(max=0.999)
    return torch.cumprod(1 - betas, 0)


def cosine(timesteps: int) -> Tensor:
    """A quarter period of a squared cosine, with betas of at most 0.999 (Nichol & Dhariwal 2021, eq. 17)."""
    t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return _from_ratios(f)


def sigmoid(timesteps: int, start: float = -3.0, end: float = 3.0, tau: float = 1.0) -> Tensor:
    """A stretch of the logistic function (Jabri et al. 2022; Chen 2023, algorithm 1)."""
    t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    first, last = (torch.sigmoid(torch.tensor(edge / tau, dtype=torch.float64)) for edge in (start, end))
    f = (last - torch.sigmoid((t * (end - start) + start) / tau)) / (last - first)
    return _from_ratios(f)


def _from_ratios(f: Tensor) -> Tensor:
    return torch.cumprod((f[1:] / f[:-1]).clamp(min=0.001), 0)


SCHEDULES: dict[str, Callable[[int], Tensor]] = {"linear": linear, "cosine": cosine, "sigmoid": sigmoid}


def shifted(alphas_cumprod: Tensor, log_snr_shift: float) -> Tensor:
    """Add `log_snr_shift` nats to every log-SNR: 2 ln(64 / side) for larger pictures (Hoogeboom et al. 2023, eq. 3)."""
    odds = alphas_cumprod / (1 - alphas_cumprod) * math.exp(log_snr_shift)
    return odds / (1 + odds)


def ending_in_noise(alphas_cumprod: Tensor) -> Tensor:
    """Stretch alpha so that the last step is pure noise and the first is as it was (Lin et al. 2024, algorithm 1)."""
    alpha = alphas_cumprod.sqrt()
    return ((alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])) ** 2


@dataclass(frozen=True)
class Schedule:
    """A noise schedule as float64 tensors of shape [T]: alphas_cumprod in [0, 1), strictly decreasing."""

    alphas_cumprod: Tensor

    @classmethod
    def make(cls, name: str, timesteps: int, zero_snr: bool = False, log_snr_shift: float = 0.0) -> "Schedule":
        """Return the schedule `name` (of SCHEDULES) with T = `timesteps` noise levels, shifted, then stretched."""
        alphas_cumprod = shifted(SCHEDULES[name](timesteps), log_snr_shift)
        return cls(ending_in_noise(alphas_cumprod) if zero_snr else alphas_cumprod)

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    @property
    def alpha(self) -> Tensor:
        """What multiplies the picture."""
        return self.alphas_cumprod.sqrt()

    @property
    def sigma(self) -> Tensor:
        """What multiplies the noise."""
        return (1 - self.alphas_cumprod).sqrt()

    @property
    def log_snr(self) -> Tensor:
        """log(alpha^2 / sigma^2), in nats; minus infinity where all is noise."""
        return self.alphas_cumprod.log() - (-self.alphas_cumprod).log1p()

    @property
    def angle(self) -> Tensor:
        """atan2(sigma, alpha) in (0, pi/2]: the noise level as the network is told it, finite at zero SNR."""
        return torch.atan2(self.sigma, self.alpha)

    def on(self, device: torch.device) -> "Levels":
        """Return what training looks up at every step, on the device where it does so."""
        return Levels(*(values.float().to(device) for values in (self.alpha, self.sigma, self.angle)))

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return x_t for pictures x0 [n, c, h, w], noise of that shape and steps t [n] (Ho et al. 2020, eq. 4)."""
        return per_picture(self.alpha, t, x0) * x0 + per_picture(self.sigma, t, x0) * noise


@dataclass(frozen=True)
class Levels:
    """A schedule's alpha, sigma and angle, float32 [T]."""

    alpha: Tensor
    sigma: Tensor
    angle: Tensor


def per_picture(values: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Pick values[t] and shape it [n, 1, 1, 1], on the device and of the dtype of `like`."""
    return values[t.cpu()].to(like.device, like.dtype).view(-1, 1, 1, 1)
