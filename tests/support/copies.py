"""Smooth random images in place of faces, and changes that turn them into copies."""

import torch
from torch import Tensor
from torch.nn import functional


def make_faces(count: int, seed: int, side: int = 32) -> Tensor:
    """Return different smooth images, none of them symmetric: uint8 [count, 3, side, side]."""
    coarse = 255 * torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    smooth = functional.interpolate(coarse, size=side, mode="bilinear", align_corners=True)
    return smooth.round().to(torch.uint8)


def add_noise(images: Tensor, sigma: float) -> Tensor:
    """Return the images with normal noise of this standard deviation in grey levels."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
    return (images + sigma * noise).round().clamp(0, 255).to(torch.uint8)


def shift(images: Tensor, right: int, down: int) -> Tensor:
    """Return the images moved by up to 2 pixels, with their edge pixels repeated."""
    side = images.shape[-1]
    padded = functional.pad(images.float(), (2, 2, 2, 2), mode="replicate")
    return padded[:, :, 2 - down : 2 - down + side, 2 - right : 2 - right + side].to(torch.uint8)
