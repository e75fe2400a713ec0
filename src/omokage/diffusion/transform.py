"""Pictures made of pictures: variations, encoding and decoding, and what lies between two.

All take and return pictures in the network's space, [n, c, h, w], and lists of descending steps as the samplers do.
"""

from itertools import pairwise

import torch
from torch import Tensor

from omokage.diffusion.samplers import Denoiser, Noise, Sampler, choose, towards


def clean(denoiser: Denoiser, x: Tensor, steps: list[int], sampler: Sampler, noise: Noise) -> Tensor:
    """Return what the sampler makes of x at noise level steps[0]."""
    *_, last = sampler(denoiser, x, steps, noise)
    return last.x0


def variation(
    denoiser: Denoiser, x0: Tensor, strength: float, steps: list[int], sampler: Sampler, noise: Noise
) -> Tensor:
    """Return x0 noised up to the last `strength` (0 to 1) of the steps and cleaned again (SDEdit, Meng et al. 2022).

    noise(0) noises the picture, noise(i + 1) is the sampler's. At 0 the pictures come back as they are.
    """
    rest = steps[len(steps) - round(strength * len(steps)) :]
    if not rest:
        return x0
    alpha, sigma = denoiser.level(rest[0])
    return clean(denoiser, alpha * x0 + sigma * noise(0), rest, sampler, lambda i: noise(i + 1))


def encode(denoiser: Denoiser, x0: Tensor, steps: list[int]) -> Tensor:
    """Return the noise at steps[0] that DDIM would turn into x0: its steps run backwards (Song et al. 2021, eq. 14)."""
    x = x0
    for here, there in pairwise(reversed(steps)):
        x = towards(x, denoiser.x0(x, here), denoiser.level(here), denoiser.level(there))
    return x


def decode(denoiser: Denoiser, latent: Tensor, steps: list[int]) -> Tensor:
    """Return the pictures of `latent`, the noise at steps[0]: DDIM without fresh noise."""
    return clean(denoiser, latent, steps, choose("ddim", 0.0), lambda i: torch.zeros_like(latent))


def between(denoiser: Denoiser, one: Tensor, other: Tensor, weights: Tensor, steps: list[int]) -> Tensor:
    """Return pictures [k, c, h, w] on the way from `one` to `other` ([1, c, h, w] each) at `weights` [k] from 0 to 1.

    Both are encoded, and the way leads along the arc between their noises.
    """
    start, end = (encode(denoiser, x0, steps) for x0 in (one, other))
    return decode(denoiser, arc(start, end, weights), steps)


def arc(start: Tensor, end: Tensor, weights: Tensor) -> Tensor:
    """Return noise [k, c, h, w] at `weights` [k] from 0 to 1 of the way from `start` to `end` ([1, c, h, w] each).

    The way is an arc, on which noise stays noise (slerp; Song et al. 2021, appendix D.5).
    """
    cosine = (start * end).sum() / (start.norm() * end.norm())
    angle = torch.arccos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    along = weights.to(start).view(-1, 1, 1, 1)
    return (torch.sin((1 - along) * angle) * start + torch.sin(along * angle) * end) / torch.sin(angle)
