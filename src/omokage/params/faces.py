"""Parameters of `faces`: from pictures to square faces of one size."""

from typing import Literal

from pydantic import Field

from omokage.params.base import Parameters


class Params(Parameters):
    image_size: int = Field(ge=8, le=512, description="side of a face, in pixels")
    crop: Literal["auto", "detect", "whole"] = Field(
        description="auto: crop where a picture holds more than a face; detect: always crop; whole: never"
    )
    crop_margin: float = Field(ge=0, le=2, description="margin around a detected face, as a fraction of its side")
    crop_likelihood: float = Field(ge=0, le=1, description="detections less likely than this are not taken for faces")
    min_side: int = Field(ge=1, le=4096, description="faces and pictures smaller than this are dropped, in pixels")
    held_out: float = Field(gt=0, lt=1, description="fraction of the faces kept from training, to judge against")
