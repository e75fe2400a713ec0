"""The noise schedule's parameters, which `train` and `figures` share."""

from typing import Literal

from pydantic import Field

from omokage.params.base import Parameters


class ScheduleParams(Parameters):
    schedule: Literal["linear", "cosine", "sigmoid"] = Field(description="noise schedule")
    timesteps: int = Field(ge=2, le=10_000, description="noise levels of the schedule (T)")
