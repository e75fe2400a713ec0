"""Edit images with a denoiser: SDEdit, DDIM inversion, and interpolation.

Images are whitened tensors [n, c, h, w], and timesteps are descending lists, as for the samplers.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from omokage.sampling.denoiser import Denoiser
from omokage.sampling.samplers import Noise, Sampler, get_sampler, step_along_flow


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


def invert_ddim(denoiser: Denoiser, x0: Tensor, timesteps: Sequence[int]) -> Tensor:
    """Return the latents of the images x0: noise from which `decode_ddim` returns approximately x0.

    The steps of DDIM are taken in reverse, from the last of `timesteps` to the first (Song et al. 2021, eq. 14).
    """
    x = x0
    for t, t_next in pairwise(reversed(timesteps)):
        level, level_next = denoiser.get_alpha_sigma(t), denoiser.get_alpha_sigma(t_next)
        x = step_along_flow(x, denoiser.predict_x0(x, t), level, level_next)
    return x


def decode_ddim(denoiser: Denoiser, latent: Tensor, timesteps: Sequence[int]) -> Tensor:
    """Return the images that deterministic DDIM generates from `latent`, noise at timesteps[0]."""
    return run_sampler(denoiser, latent, timesteps, get_sampler("ddim", 0.0), lambda i: torch.zeros_like(latent))


def interpolate_images(
    denoiser: Denoiser, start: Tensor, end: Tensor, fractions: Tensor, timesteps: Sequence[int]
) -> Tensor:
    """Return images [k, c, h, w] between two images `start` and `end`, [1, c, h, w] each.

    `fractions` [k] are positions from 0 (start) to 1 (end). The latents of both images are interpolated (see `slerp`)
    and decoded.
    """
    latent_start, latent_end = (invert_ddim(denoiser, x0, timesteps) for x0 in (start, end))
    return decode_ddim(denoiser, slerp(latent_start, latent_end, fractions), timesteps)


def slerp(start: Tensor, end: Tensor, fractions: Tensor) -> Tensor:
    """Return spherical interpolations [k, c, h, w] of two noise tensors [1, c, h, w] at `fractions` [k] (0 to 1).

    Unlike linear interpolation, slerp keeps the variance of the noise (Song et al. 2021, appendix D.5).
    """
    cosine = (start * end).sum() / (start.norm() * end.norm())
    angle = torch.arccos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    fraction = fractions.to(start).view(-1, 1, 1, 1)
    return (torch.sin((1 - fraction) * angle) * start + torch.sin(fraction * angle) * end) / torch.sin(angle)
