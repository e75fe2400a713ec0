"""Parameters of `sample`: how pictures are drawn from the model."""

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from omokage.params.base import Parameters

Weights = Literal["ema", "posthoc"]
Sampler = Literal["ddpm", "ddpm-large", "ddim", "dpm-solver++", "heun"]
# [WEIGHTS/]SAMPLER:EVALUATIONS
Entry = Annotated[
    str,
    StringConstraints(
        pattern=rf"^((raw|{'|'.join(get_args(Weights))})/)?"
        rf"({'|'.join(map(re.escape, get_args(Sampler)))}):[1-9][0-9]{{0,3}}$"
    ),
]


class Params(Parameters):
    weights: Weights
    ema_length: float = Field(ge=0.01, le=0.25)
    guidance: float = Field(ge=1, le=10)
    guide: float = Field(gt=0, lt=1)
    sampler: Sampler
    spacing: Literal["early", "trailing", "leading", "log-snr"]
    sample_steps: int = Field(ge=1, le=10_000)
    eta: float = Field(ge=0, le=1)
    samples: int = Field(ge=2, le=1_000_000)
    sample_seed: int = Field(ge=0, lt=2**32)
    frames: int = Field(ge=2, le=1_000)
    progress_samples: int = Field(ge=0, le=100_000)
    study: list[Entry]


def parsed(entry: str) -> tuple[str, str, int]:
    """Return what an entry of `study` names: weights ("": those of the run), sampler and evaluations."""
    weights, _, rest = entry.rpartition("/")
    sampler, _, evaluations = rest.partition(":")
    return weights, sampler, int(evaluations)
