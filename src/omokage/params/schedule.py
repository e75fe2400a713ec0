"""Parameters of the noise schedule, which the stages `train` and `figures` share."""

from typing import Literal

from pydantic import Field

from omokage.base.parameters import Parameters


class ScheduleParams(Parameters):
    schedule: Literal["linear", "cosine", "sigmoid"]
    timesteps: int = Field(ge=2, le=10_000)
    zero_snr: bool
    log_snr_shift: float = Field(ge=-10, le=10)
