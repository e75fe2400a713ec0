"""Train the inner levels of a UNet on images of half the size, and start the whole network with their weights.

An image of half the size takes less than half of the time, and shows what a face looks like from afar: its colours and
its layout. The method follows the progressive training of Gu et al. 2023 (Matryoshka Diffusion Models), and of Karras
et al. 2018 for GANs.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from omokage.diffusion.model import ModelSpec
from omokage.diffusion.unet import Architecture
from omokage.params.train import HALF_SIZE_BATCH
from omokage.training.batches import check_batch_size
from omokage.training.config import ComputeConfig, TrainingConfig
from omokage.training.loop import train
from omokage.training.trainer import Probe, Row, TrainingResult, create_network

CHUNK_FACES = 1000  # faces that are resized at once, as float32
# The SNR of an image at half the size is four times as high (see diffusion.unet.halve_noisy_images). With zero_snr,
# which rescales the shifted schedule, it is so only roughly. The network gets the true noise level in any case.
HALF_SIZE_SHIFT = math.log(4)


def train_in_two_sizes(
    faces: Tensor,
    spec: ModelSpec,
    config: TrainingConfig,
    half_size_steps: int,
    compute: ComputeConfig,
    work: Path,
    log: Callable[[Row], None],
    log_half_size: Callable[[Row], None],
    probe: Probe | None = None,
) -> TrainingResult:
    """Train the inner levels for `half_size_steps` steps, then the whole network, and return the result.

    `log_half_size` gets the rows of the loss table of the first training. For everything else see loop.train.
    """
    weights = train_inner_levels(faces, spec, config, half_size_steps, compute, work / "half-size", log_half_size)
    return train(faces, spec, config, compute, work, log, probe, weights)


def train_inner_levels(
    faces: Tensor,
    spec: ModelSpec,
    config: TrainingConfig,
    steps: int,
    compute: ComputeConfig,
    work: Path,
    log: Callable[[Row], None],
) -> dict[str, Tensor]:
    """Train the inner levels for `steps` steps, and return the initial weights of the whole network, by name.

    `faces` are uint8 [n, 3, h, w], and `spec` and `config` those of the whole network. Unlike there, a batch has
    HALF_SIZE_BATCH times as many images, and the learning rate does not fall at the end. For `work`, `log` and the
    errors see loop.train.
    """
    check_batch_size(config.batch_size, len(faces))
    batch_size = choose_batch_size(config, len(faces))
    half_config = replace(config, batch_size=batch_size, steps=steps, decay=0.0, keep_best=False)
    half = train(halve_faces(faces), halve_spec(spec), half_config, compute, work, log).network.state_dict()
    whole = create_network(spec, config.seed).state_dict()
    return insert_weights(whole, half, spec.architecture.num_res_blocks)


def choose_batch_size(config: TrainingConfig, faces: int) -> int:
    """Return the number of images of a step at half the size: at most all `faces`."""
    return min(HALF_SIZE_BATCH * config.batch_size, faces)


def halve_faces(faces: Tensor) -> Tensor:
    """Return uint8 faces [n, 3, h, w] at half the size: the means of 2 x 2 pixels, rounded."""
    halves = [F.avg_pool2d(chunk.float(), 2).round().to(torch.uint8) for chunk in faces.split(CHUNK_FACES)]
    return torch.cat(halves)


def halve_spec(spec: ModelSpec) -> ModelSpec:
    """Return the spec of the inner levels as a model of its own: the same timesteps, for images of half the size."""
    whole = spec.architecture
    architecture = Architecture(
        image_size=whole.image_size // 2,
        model_channels=whole.model_channels,
        channel_mult=whole.channel_mult[1:],
        num_res_blocks=whole.num_res_blocks,
        attention_resolutions=whole.attention_resolutions,
        dropout=whole.dropout,
        patch_size=whole.patch_size,
    )
    return replace(spec, architecture=architecture, log_snr_shift=spec.log_snr_shift + HALF_SIZE_SHIFT)


def insert_weights(whole: Mapping[str, Tensor], half: Mapping[str, Tensor], num_res_blocks: int) -> dict[str, Tensor]:
    """Return the weights of the whole network with those of its inner levels replaced by `half`, both by name.

    The inner levels then compute what they did at half the size: the layer that passes features of the first level on
    to them starts at zero. `num_res_blocks` is the number of residual blocks of a level.
    """
    downsampling = num_res_blocks
    inserted = dict(whole)
    for name, weight in half.items():
        part, _, rest = name.partition(".")
        if part == "down":
            rest = re.sub(r"^\d+", lambda number: str(int(number[0]) + downsampling + 1), rest)
        if part not in ("finish", "last"):
            inserted[f"{'first_half' if part == 'first' else part}.{rest}"] = weight
    for name in (f"down.{downsampling}.weight", f"down.{downsampling}.bias"):
        inserted[name] = torch.zeros_like(inserted[name])
    return inserted
