"""Parameters of `figures`: style of the plots, and the noise schedule that two figures show."""

from typing import Literal

from pydantic import Field

from omokage.params.schedule import ScheduleParams


class Params(ScheduleParams):
    figure_style: Literal["whitegrid", "darkgrid", "white", "dark", "ticks"]
    figure_palette: Literal["colorblind", "deep", "muted"]
    figure_dpi: int = Field(ge=40, le=600)
    grid_side: int = Field(ge=1, le=32)
