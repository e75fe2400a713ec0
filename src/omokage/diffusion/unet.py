"""The network: a UNet with residual blocks, self-attention where asked, told the noise level as an angle.

After Ho et al. 2020 (appendix B) and Dhariwal & Nichol 2021 (scale-shift norm, zero-initialised ends), with a patch
stem: blocks of patch x patch pixels are folded into channels, which on a CPU trains several times as fast. The way up
shuffles channels into pixels (Shi et al. 2016), which costs a ninth of a convolution of the larger picture, or less.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omokage.diffusion.dropout import Dropout


class GroupNorm(nn.GroupNorm):
    """Wu & He 2018. On a GPU spelt out: PyTorch's lays pictures out anew, and so does each convolution after it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.spelt_out(x) if x.device.type == "cuda" else super().forward(x)

    def spelt_out(self, x: Tensor) -> Tensor:
        """Return the same in float32, in the layout of x, from the means of x and of its square.

        First each channel by itself: with channels last, a group of few does not lie side by side in memory.
        """
        shape, wide = (self.num_groups, -1), x.float()

        def over_groups(channels: Tensor) -> Tensor:
            return channels.unflatten(1, shape).mean(2, keepdim=True)

        mean, square = over_groups(wide.mean((2, 3))), over_groups(wide.square().mean((2, 3)))
        # Rounding can take the difference below zero.
        variance = (square - mean.square()).clamp(min=0)
        scale = (variance + self.eps).rsqrt() * self.weight.view(shape)
        shift = self.bias.view(shape) - mean * scale
        return x * scale.flatten(1)[:, :, None, None] + shift.flatten(1)[:, :, None, None]


def _groups(channels: int) -> GroupNorm:
    """Normalise up to 32 groups of three channels or more: a channel by itself would lose how strong it is."""
    return GroupNorm(next(n for n in (32, 16, 8, 4, 2, 1) if channels % n == 0 and channels >= 3 * n), channels)


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Make the layer start as 'nothing to add', so that a deep network starts as a shallow one."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class NoiseEmbedding(nn.Module):
    """Fourier features of the noise angle (0 to pi/2), then a small MLP: [n] -> [n, channels]."""

    frequencies: Tensor
    # Radians of the fastest feature per radian of angle: with the thousand that is usual (one a step at T = 1000)
    # neighbouring noise levels look unrelated, and learning is slower.
    FASTEST = 16

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.register_buffer(
            "frequencies", torch.exp(torch.linspace(0, math.log(self.FASTEST), features // 2)), persistent=False
        )
        self.mlp = nn.Sequential(nn.Linear(features, channels), nn.SiLU(), nn.Linear(channels, channels), nn.SiLU())

    def forward(self, angle: Tensor) -> Tensor:
        phase = angle[:, None].float() * self.frequencies
        return self.mlp(torch.cat([phase.sin(), phase.cos()], 1))


class ResidualBlock(nn.Module):
    """Two convolutions; the noise level scales and shifts what lies between them."""

    def __init__(self, channels: int, out_channels: int, embedding: int, dropout: Dropout) -> None:
        super().__init__()
        self.norm1, self.conv1 = _groups(channels), nn.Conv2d(channels, out_channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * out_channels)
        self.norm2, self.conv2 = _groups(out_channels), _zero(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Conv2d(channels, out_channels, 1) if channels != out_channels else nn.Identity()
        self.dropout = dropout

    def forward(self, x: Tensor, embedding: Tensor, keys: Tensor | None) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, 1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        return self.skip(x) + self.conv2(self.dropout(h, keys))


class Attention(nn.Module):
    """Self-attention between all positions, with heads of 32 to 64 channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // 64)
        while channels % self.heads:
            self.heads -= 1
        self.norm = _groups(channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), _zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        return x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, c, h, w))


class Block(nn.Module):
    """A residual block, followed by attention at the resolutions that ask for it."""

    def __init__(self, channels: int, out_channels: int, embedding: int, dropout: Dropout, attend: bool) -> None:
        super().__init__()
        self.residual = ResidualBlock(channels, out_channels, embedding, dropout)
        self.attention = Attention(out_channels) if attend else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor, keys: Tensor | None) -> Tensor:
        return self.attention(self.residual(x, embedding, keys))


class Finish(nn.Module):
    """After a patch stem: features are unfolded, added to the picture itself, and refined at full resolution.

    The pixels of a block that is unfolded straight into colours know nothing of those beside it: they look grainy.
    """

    def __init__(self, channels: int, out_channels: int, patch: int, embedding: int) -> None:
        super().__init__()
        self.unfold = nn.Sequential(
            _groups(channels), nn.SiLU(), nn.Conv2d(channels, out_channels * patch**2, 1), nn.PixelShuffle(patch)
        )
        self.first = nn.Conv2d(3, out_channels, 3, padding=1)
        self.block = ResidualBlock(out_channels, out_channels, embedding, Dropout(0.0, 0))

    def forward(self, x: Tensor, picture: Tensor, embedding: Tensor) -> Tensor:
        return self.block(self.unfold(x) + self.first(picture), embedding, None)


@dataclass(frozen=True)
class Architecture:
    """The shape of a UNet; `attention` lists resolutions as the network sees them, that is after the patch stem."""

    image_size: int
    width: int
    multipliers: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    dropout: float
    patch: int


class UNet(nn.Module):
    """x [n, 3, size, size] and angle [n] in radians -> what the prediction calls for, of x's shape, in float32.

    With `keys` [n], int32, one for each picture and step of training, activations are dropped.
    """

    # Channels at full resolution, where there is a patch stem.
    FINE = 16

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        side, embedding = shape.image_size // shape.patch, 4 * shape.width
        channels = [shape.width * multiplier for multiplier in shape.multipliers]
        layers = itertools.count()

        def block(channels_in: int, channels_out: int, level: int) -> Block:
            dropout = Dropout(shape.dropout, next(layers))
            return Block(channels_in, channels_out, embedding, dropout, side // 2**level in shape.attention)

        self.embedding = NoiseEmbedding(shape.width, embedding)
        self.fold = nn.PixelUnshuffle(shape.patch)
        self.first = nn.Conv2d(3 * shape.patch**2, shape.width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, current, last = [shape.width], shape.width, len(channels) - 1
        for level, out in enumerate(channels):
            for _ in range(shape.blocks):
                self.down.append(block(current, out, level))
                skips.append(current := out)
            if level < last:
                self.down.append(nn.Conv2d(current, current, 3, stride=2, padding=1))
                skips.append(current)
        self.middle = nn.ModuleList([block(current, current, last), block(current, current, last)])
        for level, out in reversed(list(enumerate(channels))):
            for _ in range(shape.blocks + 1):
                self.up.append(block(current + skips.pop(), out, level))
                current = out
            if level > 0:
                current = channels[level - 1]
                self.up += [nn.Conv2d(out, 4 * current, 1), nn.PixelShuffle(2)]
        self.finish = Finish(current, self.FINE, shape.patch, embedding) if shape.patch > 1 else None
        fine = self.FINE if shape.patch > 1 else current
        self.last = nn.Sequential(_groups(fine), nn.SiLU(), _zero(nn.Conv2d(fine, 3, 3, padding=1)))

    def forward(self, x: Tensor, angle: Tensor, keys: Tensor | None = None) -> Tensor:
        embedding, picture = self.embedding(angle), x
        x = self.first(self.fold(x))
        skips = [x]
        for layer in self.down:
            x = layer(x, embedding, keys) if isinstance(layer, Block) else layer(x)
            skips.append(x)
        for layer in self.middle:
            x = layer(x, embedding, keys)
        for layer in self.up:
            x = layer(torch.cat([x, skips.pop()], 1), embedding, keys) if isinstance(layer, Block) else layer(x)
        if self.finish is not None:
            x = self.finish(x, picture, embedding)
        return self.last(x).float()
