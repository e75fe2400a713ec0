"""Parameters of `download`: the source of the images."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from omokage.base.parameters import Parameters

Colour = Annotated[str, StringConstraints(pattern="^[0-9a-f]{6}$")]
Style = Annotated[str, StringConstraints(pattern="^[a-z0-9-]+$")]
Source = Literal["avatars", "folder", "kaggle"]


class Params(Parameters):
    source: Source
    avatar_styles: list[Style] = Field(min_length=1)
    avatar_count: int = Field(ge=1, le=1_000_000)
    avatar_backgrounds: list[Colour] = Field(min_length=1)
    avatar_size: int = Field(ge=16, le=256)
    avatar_seed: int = Field(ge=0, lt=2**32)
    folder: Annotated[str, StringConstraints(pattern="^[^#?]+$")]
    kaggle_dataset: Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*/\w[\w.-]*$")]
    kaggle_version: int = Field(ge=1)
