"""Parameters of `sample`: how pictures are drawn from the model."""

from typing import Literal

from pydantic import Field

from omokage.params.base import Parameters


class Params(Parameters):
    weights: Literal["ema", "posthoc"]
    ema_length: float = Field(ge=0.01, le=0.25)
    guidance: float = Field(ge=1, le=10)
    guide: float = Field(gt=0, lt=1)
    sampler: Literal["ddpm", "ddpm-large", "ddim", "dpm-solver++", "heun"]
    spacing: Literal["early", "trailing", "leading", "log-snr"]
    sample_steps: int = Field(ge=1, le=10_000)
    eta: float = Field(ge=0, le=1)
    samples: int = Field(ge=2, le=1_000_000)
    sample_seed: int = Field(ge=0, lt=2**32)
    frames: int = Field(ge=2, le=1_000)
