"""Parameters of `faces`: from pictures to square faces of one size."""

from typing import Literal

from pydantic import Field

from omokage.params.base import Parameters


class Params(Parameters):
    image_size: int = Field(ge=8, le=512)
    crop: Literal["auto", "detect", "whole"]
    crop_margin: float = Field(ge=0, le=2)
    crop_likelihood: float = Field(ge=0, le=1)
    min_side: int = Field(ge=1, le=4096)
    held_out: float = Field(gt=0, lt=1)
