"""Parameters of `faces`: how faces are cropped, filtered and split."""

from typing import Literal

from pydantic import Field

from omokage.base.parameters import Parameters


class Params(Parameters):
    image_size: int = Field(ge=8, le=512)
    crop_margin: float = Field(ge=0, le=2)
    crop_likelihood: float = Field(ge=0, le=1)
    faces_per_picture: int = Field(ge=1, le=1000)
    min_side: int = Field(ge=1, le=4096)
    max_dropped: float = Field(ge=0, le=1)
    copies: Literal["auto", "lenient", "strict", "identical"]
    near_duplicates: float = Field(ge=0, le=255)
    min_sharpness: float = Field(ge=0)
    min_contrast: float = Field(ge=0, le=128)
    min_colour: float = Field(ge=0, le=255)
    held_out: float = Field(gt=0, lt=1)
