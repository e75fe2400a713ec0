"""Parameters of `download`: where the pictures come from."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from omokage.params.base import Parameters

Colour = Annotated[str, StringConstraints(pattern="^[0-9a-f]{6}$")]
Style = Annotated[str, StringConstraints(pattern="^[a-z0-9-]+$")]


class Params(Parameters):
    source: Literal["avatars", "folder", "kaggle"] = Field(description="where the pictures come from")
    avatar_styles: list[Style] = Field(
        min_length=1,
        description="DiceBear styles to draw in turn (adventurer, lorelei, notionists, big-smile, micah, ...)",
    )
    avatar_count: int = Field(ge=1, le=1_000_000, description="pictures to draw")
    avatar_backgrounds: list[Colour] = Field(
        min_length=1, description="background colours to choose from, as quoted hexadecimal RGB"
    )
    avatar_size: int = Field(ge=16, le=1024, description="side at which avatars are drawn, in pixels")
    avatar_seed: int = Field(ge=0, lt=2**32, description="another seed draws other people")
    folder: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="for source: folder, a folder or zip of pictures, relative to the main checkout"
    )
    kaggle_dataset: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")] = Field(
        description="for source: kaggle, the data set as owner/name"
    )
    kaggle_version: int = Field(ge=1, description="for source: kaggle, the pinned version of the data set")
