"""The parts of the UNet: norms, residual blocks with a skip connection, self-attention, and the last block.

The design follows Ho et al. 2020 (appendix B) and Dhariwal & Nichol 2021 (scale-shift norm, zero-initialised last
layers).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omokage.diffusion.dropout import Dropout


class GroupNorm(nn.GroupNorm):
    """Group normalisation (Wu & He 2018) that keeps the channels-last layout on CUDA.

    nn.GroupNorm breaks that layout on CUDA, which costs a copy per convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x [n, c, h, w] normalised."""
        return self.normalise_from_moments(x) if x.device.type == "cuda" else super().forward(x)

    def normalise_from_moments(self, x: Tensor) -> Tensor:
        """Return x normalised, as float32 in the memory layout of x; the variance is E[x^2] - E[x]^2.

        Means are taken over each channel and then over each group, because with channels-last a group is not contiguous
        in memory.
        """
        shape, x32 = (self.num_groups, -1), x.float()

        def average_groups(channels: Tensor) -> Tensor:
            return channels.unflatten(1, shape).mean(2, keepdim=True)

        mean, mean_square = average_groups(x32.mean((2, 3))), average_groups(x32.square().mean((2, 3)))
        # Rounding can make the difference negative.
        variance = (mean_square - mean.square()).clamp(min=0)
        scale = (variance + self.eps).rsqrt() * self.weight.view(shape)
        shift = self.bias.view(shape) - mean * scale
        return x * scale.flatten(1)[:, :, None, None] + shift.flatten(1)[:, :, None, None]


def make_group_norm(channels: int) -> GroupNorm:
    """Return a norm with at most 32 groups of at least three channels each.

    Normalising single channels would lose their scale.
    """
    return GroupNorm(next(n for n in (32, 16, 8, 4, 2, 1) if channels % n == 0 and channels >= 3 * n), channels)


def zero_initialise(layer: nn.Conv2d) -> nn.Conv2d:
    """Set the layer's weights to zero and return it, so that its residual block starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class NoiseEmbedding(nn.Module):
    """An embedding of the noise level: Fourier features of the noise angle, followed by a small MLP."""

    frequencies: Tensor
    # Radians of the features' phase per radian of the noise angle. With the usual 1000 the network learns more slowly.
    MAX_FREQUENCY = 16

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.register_buffer(
            "frequencies", torch.exp(torch.linspace(0, math.log(self.MAX_FREQUENCY), features // 2)), persistent=False
        )
        self.mlp = nn.Sequential(nn.Linear(features, channels), nn.SiLU(), nn.Linear(channels, channels), nn.SiLU())

    def forward(self, angle: Tensor) -> Tensor:
        """Return embeddings [n, channels] of noise angles [n] in radians, 0 to pi/2."""
        phase = angle[:, None].float() * self.frequencies
        return self.mlp(torch.cat([phase.sin(), phase.cos()], 1))


class ResidualBlock(nn.Module):
    """Two convolutions with a skip connection.

    The noise embedding scales and shifts the output of the second norm.
    """

    def __init__(self, channels: int, out_channels: int, embedding: int, dropout: Dropout) -> None:
        super().__init__()
        self.norm1, self.conv1 = make_group_norm(channels), nn.Conv2d(channels, out_channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * out_channels)
        self.norm2, self.conv2 = (
            make_group_norm(out_channels),
            zero_initialise(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
        )
        self.skip = nn.Conv2d(channels, out_channels, 1) if channels != out_channels else nn.Identity()
        self.dropout = dropout

    def forward(self, x: Tensor, embedding: Tensor, keys: Tensor | None) -> Tensor:
        """Return features [n, out_channels, h, w] of x [n, channels, h, w]; for `keys` see Dropout."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, 1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        return self.skip(x) + self.conv2(self.dropout(h, keys))


class Attention(nn.Module):
    """Self-attention between all positions, with about 64 channels per head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // 64)
        while channels % self.heads:
            self.heads -= 1
        self.norm = make_group_norm(channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), zero_initialise(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x [n, c, h, w] plus the attention's output."""
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        return x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, c, h, w))


class Block(nn.Module):
    """A residual block, followed by attention if `has_attention`."""

    def __init__(self, channels: int, out_channels: int, embedding: int, dropout: Dropout, has_attention: bool) -> None:
        super().__init__()
        self.residual = ResidualBlock(channels, out_channels, embedding, dropout)
        self.attention = Attention(out_channels) if has_attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor, keys: Tensor | None) -> Tensor:
        """Return features [n, out_channels, h, w] of x [n, channels, h, w]; for `keys` see Dropout."""
        return self.attention(self.residual(x, embedding, keys))


class Finish(nn.Module):
    """The last block of a UNet with a patch stem, at full resolution.

    It unfolds patches to pixels, adds features of the noisy image and refines the sum. Without the refinement, pixels
    at the edge of a patch do not see the neighbouring patch, and samples look grainy.
    """

    def __init__(self, channels: int, out_channels: int, patch_size: int, embedding: int) -> None:
        super().__init__()
        self.unfold = nn.Sequential(
            make_group_norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, out_channels * patch_size**2, 1),
            nn.PixelShuffle(patch_size),
        )
        self.first = nn.Conv2d(3, out_channels, 3, padding=1)
        self.block = ResidualBlock(out_channels, out_channels, embedding, Dropout(0.0, 0))

    def forward(self, x: Tensor, image: Tensor, embedding: Tensor) -> Tensor:
        """Return features [n, out_channels, side, side] of patch features x and noisy `image` [n, 3, side, side]."""
        return self.block(self.unfold(x) + self.first(image), embedding, None)
