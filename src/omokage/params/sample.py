"""Parameters of `sample`: how pictures are drawn from the model."""

from typing import Literal

from pydantic import Field

from omokage.params.base import Parameters


class Params(Parameters):
    sampler: Literal["ddpm", "ddim"] = Field(
        description="ddpm: ancestral sampling; ddim: Song et al.'s implicit sampler"
    )
    sample_steps: int = Field(ge=1, le=10_000, description="network evaluations a picture, at most timesteps")
    eta: float = Field(ge=0, le=1, description="for ddim, fresh noise a step: 0 is deterministic, 1 as much as ddpm")
    samples: int = Field(ge=1, le=1_000_000, description="pictures to draw and score")
    sample_seed: int = Field(ge=0, lt=2**32, description="picture i is drawn from (sample_seed, i)")
    frames: int = Field(ge=2, le=1_000, description="moments of the noise removal to keep for the film strip and GIF")
