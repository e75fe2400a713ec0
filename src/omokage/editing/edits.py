"""Edit images with a denoiser: SDEdit, DDIM inversion, and interpolation.

Images are whitened tensors [n, c, h, w], and timesteps are descending lists, as for the samplers.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from omokage.editing.fixed_point import find_fixed_point
from omokage.sampling.denoiser import Denoiser
from omokage.sampling.samplers import Noise, Sampler, get_sampler, step_along_flow

# Fixed-point iterations for each step of DDIM inversion.
INVERSION_ITERATIONS = 5


def run_sampler(denoiser: Denoiser, x: Tensor, timesteps: Sequence[int], sampler: Sampler, noise: Noise) -> Tensor:
    """Return the images that the sampler generates from x, the noisy images at timesteps[0]."""
    *_, last = sampler(denoiser, x, timesteps, noise)
    return last.x0


def apply_sdedit(
    denoiser: Denoiser, x0: Tensor, strength: float, timesteps: Sequence[int], sampler: Sampler, noise: Noise
) -> Tensor:
    """Return variations of the images x0 by SDEdit: add noise, then denoise (Meng et al. 2022).

    The last part of `timesteps` is used, a fraction `strength` (0 to 1) of them. First noise(0) is added to x0. Step i
    of the sampler then uses noise(i + 1). At strength 0, x0 is returned unchanged.
    """
    remaining = timesteps[len(timesteps) - round(strength * len(timesteps)) :]
    if not remaining:
        return x0
    alpha, sigma = denoiser.get_alpha_sigma(remaining[0])
    return run_sampler(denoiser, alpha * x0 + sigma * noise(0), remaining, sampler, lambda i: noise(i + 1))


def invert_ddim(
    denoiser: Denoiser, x0: Tensor, timesteps: Sequence[int], iterations: int = INVERSION_ITERATIONS
) -> Tensor:
    """Return the latents of the images x0: noise from which `decode_ddim` returns nearly x0.

    The steps of DDIM are inverted, from the last of `timesteps` to the first. DDIM's step from t_next to t uses the
    clean image predicted at t_next, so the inverse is implicit. It is found by accelerated fixed-point iteration (Pan
    et al. 2023, AIDI). This starts at the explicit step (Song et al. 2021, eq. 14), which is all with `iterations` = 0.
    A step takes 1 + `iterations` network evaluations.
    """
    x = x0
    for t, t_next in pairwise(reversed(timesteps)):
        x = _invert_step(denoiser, x, t, t_next, iterations)
    return x


def _invert_step(denoiser: Denoiser, x: Tensor, t: int, t_next: int, iterations: int) -> Tensor:
    """Return the noisy images at timestep t_next from which a step of DDIM leads to x at timestep t."""
    level, level_next = denoiser.get_alpha_sigma(t), denoiser.get_alpha_sigma(t_next)

    def step(x_next: Tensor) -> Tensor:
        return step_along_flow(x, denoiser.predict_x0(x_next, t_next), level, level_next)

    explicit = step_along_flow(x, denoiser.predict_x0(x, t), level, level_next)
    return find_fixed_point(step, explicit, iterations, _choose_damping(level, level_next, x[0].numel()))


def _choose_damping(level: tuple[float, float], level_next: tuple[float, float], size: int) -> float:
    """Return the factor, from 0 to 1, of each update of the fixed-point iteration in `invert_ddim`.

    The factor 2 / (2 + L) is the best one if the eigenvalues of the iterated function's Jacobian are from -L to 0. The
    Jacobian of an ideal denoiser is alpha / sigma^2 times the covariance of x0 given x (Efron 2011). An eigenvalue of
    the covariance of whitened images is at most `size`, the number of values of an image.
    """
    (alpha, sigma), (alpha_next, sigma_next) = level, level_next
    slope = sigma_next * alpha / sigma - alpha_next
    largest = slope * alpha_next * size / (sigma_next**2 + alpha_next**2 * size)
    return 2 / (2 + largest)


def decode_ddim(denoiser: Denoiser, latent: Tensor, timesteps: Sequence[int]) -> Tensor:
    """Return the images that deterministic DDIM generates from `latent`, noise at timesteps[0]."""
    return run_sampler(denoiser, latent, timesteps, get_sampler("ddim", 0.0), lambda i: torch.zeros_like(latent))


def slerp(start: Tensor, end: Tensor, fractions: Tensor) -> Tensor:
    """Return spherical interpolations [k, c, h, w] of two noise tensors [1, c, h, w] at `fractions` [k] (0 to 1).

    Unlike linear interpolation, slerp keeps the variance of the noise (Song et al. 2021, appendix D.5).
    """
    cosine = (start * end).sum() / (start.norm() * end.norm())
    angle = torch.arccos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    fraction = fractions.to(start).view(-1, 1, 1, 1)
    return (torch.sin((1 - fraction) * angle) * start + torch.sin(fraction * angle) * end) / torch.sin(angle)
