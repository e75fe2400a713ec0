"""Prepare a training run from its parameters and the shards of faces."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from torch import Tensor

from omokage.compute.device import choose_dtype, prepare_device
from omokage.data import shards
from omokage.diffusion.model import ModelSpec, compute_whitening
from omokage.diffusion.unet import Architecture
from omokage.params.train import NO_MODEL, Params
from omokage.training.config import ComputeConfig, TrainingConfig
from omokage.training.half_size import choose_batch_size, train_in_two_sizes
from omokage.training.initial_model import load_initial_weights
from omokage.training.loop import train
from omokage.training.trainer import Row, TrainingResult
from omokage.training.validation import make_probe

CHUNK_FACES = 1000  # faces whose pixels are summed at once, as 64-bit integers


def make_configs(params: Params, faces: Tensor) -> tuple[ModelSpec, TrainingConfig]:
    """Return the model's spec and the training's hyperparameters for the training faces, uint8 [n, 3, h, w]."""
    architecture = Architecture(
        image_size=faces.shape[-1],
        model_channels=params.model_channels,
        channel_mult=tuple(params.channel_mult),
        num_res_blocks=params.num_res_blocks,
        attention_resolutions=tuple(params.attention_resolutions),
        dropout=params.dropout,
        patch_size=params.patch_size,
        half_size_input=params.half_size_steps > 0,
    )
    mean, std = compute_whitening(faces.split(CHUNK_FACES))
    spec = ModelSpec(
        architecture,
        params.prediction,
        params.schedule,
        params.timesteps,
        params.zero_snr,
        params.log_snr_shift,
        params.precision,
        mean,
        std,
    )
    return spec, TrainingConfig(**{field.name: getattr(params, field.name) for field in fields(TrainingConfig)})


def warn_of_long_half_life(config: TrainingConfig) -> None:
    """Print a warning if the EMA never reaches its half-life, because the training is too short for it."""
    longest = config.steps * config.batch_size / 10
    if config.ema_half_life > longest:
        print(
            f"omokage: train: ema_half_life = {config.ema_half_life:g} has the effect of {longest:g}: a tenth of the "
            f"training ({config.steps * config.batch_size} images) limits it",
            file=sys.stderr,
        )


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a training run needs. The training and held-out faces are uint8 [n, 3, h, w].

    `weights` are those with which the training starts, or None for random ones. With `half_size_steps` > 0 they come
    from a training at half the size, unless they are given.
    """

    spec: ModelSpec
    config: TrainingConfig
    compute: ComputeConfig
    train_faces: Tensor
    held_out_faces: Tensor
    weights: Mapping[str, Tensor] | None
    half_size_steps: int

    @classmethod
    def create(cls, params: Params, faces: Path, initial_model: Path, threads: int) -> "TrainingSetup":
        """Read the face shards in the folder `faces`, choose the device, and return the setup.

        `initial_model` is the model file of the parameter `init_from`. Raises UserError if it does not fit.
        """
        device = prepare_device(threads)
        compute = ComputeConfig.from_environment(device, choose_dtype(params.precision, device))
        train_faces, held_out_faces = (shards.read_faces(faces, split) for split in shards.SPLITS)
        spec, config = make_configs(params, train_faces)
        weights = None if params.init_from == NO_MODEL else load_initial_weights(initial_model, spec, params.init_from)
        return cls(spec, config, compute, train_faces, held_out_faces, weights, params.half_size_steps)

    def get_splits(self) -> dict[str, Tensor]:
        """Return the faces of both splits, by the names of the columns of the loss table."""
        return {"train": self.train_faces, "held_out": self.held_out_faces}

    def count_half_size_images(self) -> int:
        """Return the number of images that the steps at half the size go through, 0 if there are none."""
        steps = self.half_size_steps if self.weights is None else 0
        return steps * choose_batch_size(self.config, len(self.train_faces))

    def train(
        self, work: Path, threads: int, log: Callable[[Row], None], log_half_size: Callable[[Row], None]
    ) -> TrainingResult:
        """Train, or resume from a checkpoint below `work`, and return the result.

        `log` gets each row of the loss table, and `log_half_size` those of the steps at half the size. Rounding depends
        on the kind of device, the dtype and the number of threads, so each combination has its own checkpoints.
        """
        folder = work / f"{self.compute.device.type}-{self.compute.dtype}-{threads}"
        faces, spec, config, compute = self.train_faces, self.spec, self.config, self.compute
        probe = make_probe(spec, self.get_splits(), compute, config.seed)
        if self.count_half_size_images():
            steps = self.half_size_steps
            return train_in_two_sizes(faces, spec, config, steps, compute, folder, log, log_half_size, probe)
        return train(faces, spec, config, compute, folder, log, probe, self.weights)
