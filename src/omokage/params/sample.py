"""Parameters of the stage `sample`: how samples are generated."""

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from omokage.base.parameters import Parameters

EmaKind = Literal["ema", "posthoc"]
Sampler = Literal["ddpm", "ddpm-large", "ddim", "dpm-solver++", "heun"]
# [EMA_KIND/]SAMPLER:NFE, where EMA_KIND may also be raw, such as raw/ddim:20
StudyEntry = Annotated[
    str,
    StringConstraints(
        pattern=rf"^((raw|{'|'.join(get_args(EmaKind))})/)?"
        rf"({'|'.join(map(re.escape, get_args(Sampler)))}):[1-9][0-9]{{0,3}}$"
    ),
]


class Params(Parameters):
    ema_kind: EmaKind
    ema_sigma_rel: float = Field(ge=0.01, le=0.25)
    guidance_scale: float = Field(ge=1, le=10)
    guidance_snapshot: float = Field(gt=0, lt=1)
    guidance_min_log_snr: float = Field(ge=-100, le=100)
    sampler: Sampler
    timestep_spacing: Literal["early", "trailing", "leading", "log-snr"]
    sample_steps: int = Field(ge=1, le=10_000)
    eta: float = Field(ge=0, le=1)
    samples: int = Field(ge=2, le=1_000_000)
    sample_seed: int = Field(ge=0, lt=2**32)
    denoising_frames: int = Field(ge=2, le=1_000)
    # Not the last: when DVC writes params.yaml, it loses the heading of a section that follows a list.
    sampler_study: list[StudyEntry]
    progress_samples: int = Field(ge=0, le=100_000)


def parse_study_entry(entry: str) -> tuple[str, str, int]:
    """Return the EMA kind, the sampler and the NFE of an entry of `sampler_study`.

    The EMA kind is raw (no EMA), ema, posthoc, or "" for the run's own `ema_kind`.
    """
    weights, _, rest = entry.rpartition("/")
    sampler, _, evaluations = rest.partition(":")
    return weights, sampler, int(evaluations)
