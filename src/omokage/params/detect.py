"""Parameters of `detect`: which pictures are searched for faces."""

from typing import Literal

from omokage.params.base import Parameters


class Params(Parameters):
    crop: Literal["auto", "detect", "whole"]
