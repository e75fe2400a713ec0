"""The network: a UNet with residual blocks and self-attention, conditioned on the noise level.

With `patch_size` > 1, a patch stem folds patches of pixels into channels, which makes training on a CPU several times
as fast. The decoder upsamples with a pixel shuffle (Shi et al. 2016), which costs at most a ninth of a convolution
after upsampling.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omokage.diffusion.blocks import Block, Finish, NoiseEmbedding, make_group_norm, zero_initialise
from omokage.diffusion.dropout import Dropout


@dataclass(frozen=True)
class Architecture:
    """The hyperparameters of a UNet.

    `channel_mult` gives the channels of each level as multiples of `model_channels`. `attention_resolutions` are the
    sides of the feature maps with self-attention. The largest feature map after the patch stem has a side of
    `image_size` / `patch_size`. With `half_size_input` the second level also gets the noisy image at half size, so that
    it can start with the weights of a network for such images (see training/half_size.py). All blocks then get the
    noise level of that image.
    """

    image_size: int
    model_channels: int
    channel_mult: tuple[int, ...]
    num_res_blocks: int
    attention_resolutions: tuple[int, ...]
    dropout: float
    patch_size: int
    half_size_input: bool = False


def halve_noisy_images(x: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Return noisy images x [n, 3, h, w] at half the size, and their noise levels [n], as angles like `angle` [n].

    The mean of 2 x 2 pixels keeps alpha and halves sigma, so the SNR is four times as high. The result is scaled so
    that alpha^2 + sigma^2 = 1 again.
    """
    alpha, sigma = angle.cos(), angle.sin() / 2
    scale = (alpha.square() + sigma.square()).rsqrt()
    return F.avg_pool2d(x, 2) * scale[:, None, None, None], torch.atan2(sigma, alpha)


class UNet(nn.Module):
    """The denoising network.

    The tensors in model files are named after its attributes, so the attributes must not be renamed.
    """

    # Channels of Finish, the block at full resolution of a network with a patch stem.
    FINE_CHANNELS = 16

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        base, patch_size = architecture.model_channels, architecture.patch_size
        side, embedding = architecture.image_size // patch_size, 4 * base
        channels = [base * multiplier for multiplier in architecture.channel_mult]
        layers = itertools.count()

        def make_block(in_channels: int, out_channels: int, level: int) -> Block:
            dropout = Dropout(architecture.dropout, next(layers))
            has_attention = side // 2**level in architecture.attention_resolutions
            return Block(in_channels, out_channels, embedding, dropout, has_attention)

        self.embedding = NoiseEmbedding(base, embedding)
        self.fold = nn.PixelUnshuffle(patch_size)
        self.first = nn.Conv2d(3 * patch_size**2, base, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, current, lowest = [base], base, len(channels) - 1
        for level, out_channels in enumerate(channels):
            for _ in range(architecture.num_res_blocks):
                self.down.append(make_block(current, out_channels, level))
                skips.append(current := out_channels)
            if level < lowest:
                self.down.append(nn.Conv2d(current, current, 3, stride=2, padding=1))
                skips.append(current)
        self.middle = nn.ModuleList([make_block(current, current, lowest), make_block(current, current, lowest)])
        for level, out_channels in reversed(list(enumerate(channels))):
            for _ in range(architecture.num_res_blocks + 1):
                self.up.append(make_block(current + skips.pop(), out_channels, level))
                current = out_channels
            if level > 0:
                current = channels[level - 1]
                self.up += [nn.Conv2d(out_channels, 4 * current, 1), nn.PixelShuffle(2)]
        self.finish = Finish(current, self.FINE_CHANNELS, patch_size, embedding) if patch_size > 1 else None
        fine = self.FINE_CHANNELS if patch_size > 1 else current
        self.last = nn.Sequential(make_group_norm(fine), nn.SiLU(), zero_initialise(nn.Conv2d(fine, 3, 3, padding=1)))
        # The number of the layer in `down` that ends the first level.
        self.first_downsampling = architecture.num_res_blocks
        has_half = architecture.half_size_input
        self.first_half = nn.Conv2d(3 * patch_size**2, base, 3, padding=1) if has_half else None

    def forward(self, x: Tensor, angle: Tensor, keys: Tensor | None = None) -> Tensor:
        """Return the prediction, float32 [n, 3, side, side], for noisy images x of the same shape.

        `angle` [n] is the noise level, atan2(sigma, alpha) in radians. Dropout is active only with `keys` [n], int32:
        one key per image.
        """
        image = x
        if self.first_half is not None:
            half, angle = halve_noisy_images(image, angle)
        embedding = self.embedding(angle)
        x = self.first(self.fold(image))
        skips = [x]
        for number, layer in enumerate(self.down):
            x = layer(x, embedding, keys) if isinstance(layer, Block) else layer(x)
            if self.first_half is not None and number == self.first_downsampling:
                x = x + self.first_half(self.fold(half))
            skips.append(x)
        for layer in self.middle:
            x = layer(x, embedding, keys)
        for layer in self.up:
            x = layer(torch.cat([x, skips.pop()], 1), embedding, keys) if isinstance(layer, Block) else layer(x)
        if self.finish is not None:
            x = self.finish(x, image, embedding)
        return self.last(x).float()
