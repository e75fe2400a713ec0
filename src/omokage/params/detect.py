"""Parameters of `detect`: which images are searched for faces."""

from typing import Literal

from omokage.base.parameters import Parameters


class Params(Parameters):
    crop: Literal["auto", "detect", "whole"]
