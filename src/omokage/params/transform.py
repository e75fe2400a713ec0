"""Parameters of the stage `transform`: image editing (SDEdit), DDIM inversion and interpolation."""

from typing import Annotated

from pydantic import Field

from omokage.base.parameters import Parameters


class Params(Parameters):
    transform_faces: int = Field(ge=1, le=100)
    transform_strengths: list[Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1, max_length=8)
    transform_steps: int = Field(ge=2, le=10_000)
    transform_between: int = Field(ge=2, le=100)
    transform_seed: int = Field(ge=0, lt=2**32)
