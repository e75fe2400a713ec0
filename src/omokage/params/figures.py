"""Parameters of `figures`: looks, and the schedule that two figures show."""

from typing import Literal

from pydantic import Field

from omokage.params.schedule import ScheduleParams


class Params(ScheduleParams):
    figure_style: Literal["whitegrid", "darkgrid", "white", "dark", "ticks"] = Field(description="seaborn style")
    figure_palette: Literal["colorblind", "deep", "muted"] = Field(description="seaborn palette")
    figure_dpi: int = Field(ge=40, le=600, description="dots per inch of the plots")
    grid_side: int = Field(ge=1, le=32, description="faces along a side of the grids")
