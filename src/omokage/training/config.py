"""The hyperparameters of a training run, and the device, dtype and processes to compute on.

Device, dtype and processes change results only by rounding.
"""

from dataclasses import dataclass, field

import torch

from omokage.compute.micro_batch import read_micro_batch
from omokage.training.distributed import ProcessGroup


@dataclass(frozen=True)
class TrainingConfig:
    """The hyperparameters of a training run (see docs/reference/parameters.md).

    `warmup` and `decay` are fractions of `steps`. `ema_half_life` is a number of images. `optimiser` is muon or adamw.
    `loss_weighting` is simple or a key of objective.WEIGHTINGS. With `keep_best` the result is the EMA of the measured
    step with the lowest held-out error.
    """

    optimiser: str
    lr: float
    warmup: float
    decay: float
    batch_size: int
    steps: int
    ema_half_life: float
    grad_clip: float
    loss_weighting: str
    min_snr_gamma: float
    loss_weight_floor: float
    flip: bool
    seed: int
    log_every: int
    keep_best: bool

    def compute_lr(self, step: int) -> float:
        """Return the learning rate of `step` (counted from 0): linear warm-up, plateau, linear decay to zero."""
        rise = (step + 1) / max(1.0, self.warmup * self.steps)
        fall = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.lr * min(1.0, rise, fall)


@dataclass(frozen=True)
class ComputeConfig:
    """The device, dtype and processes to compute on.

    `micro_batch` is the maximum number of images in memory at once. A larger batch is split into parts, and their
    gradients are added. With None the batch is not split.
    """

    device: torch.device
    dtype: torch.dtype
    group: ProcessGroup = field(default_factory=ProcessGroup)
    micro_batch: int | None = None

    @classmethod
    def from_environment(cls, device: torch.device, dtype: torch.dtype) -> "ComputeConfig":
        """Join the process group of torchrun, if any, and return the configuration.

        The environment variable OMOKAGE_MICRO_BATCH sets `micro_batch`.
        """
        return cls(device, dtype, ProcessGroup.join(device), read_micro_batch())
