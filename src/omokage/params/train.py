"""Parameters of `train`: the model, its objective and its optimiser."""

from typing import Annotated, Literal

from pydantic import Field

from omokage.params.schedule import ScheduleParams


class Params(ScheduleParams):
    prediction: Literal["eps", "x0", "v"] = Field(description="what the network predicts")
    lr: float = Field(gt=0, le=1, description="peak learning rate of AdamW")
    warmup: float = Field(ge=0, le=1, description="fraction of the steps over which lr rises to its peak")
    decay: float = Field(ge=0, le=1, description="fraction of the steps, at the end, over which lr falls to zero")
    batch_size: int = Field(ge=1, le=65_536, description="pictures a step")
    steps: int = Field(ge=1, le=100_000_000, description="steps of training")
    ema_half_life: float = Field(
        gt=0, description="half-life of the averaged weights, in pictures seen (shorter early on)"
    )
    grad_clip: float = Field(gt=0, description="largest norm of a step's gradient")
    flip: bool = Field(description="mirror faces at random (only where they have no preferred side)")
    width: int = Field(ge=8, le=1024, multiple_of=8, description="channels of the UNet's first level")
    multipliers: list[Annotated[int, Field(ge=1, le=16)]] = Field(
        min_length=1, max_length=6, description="channels of each level, as multiples of width"
    )
    blocks: int = Field(ge=1, le=8, description="residual blocks a level")
    attention: list[Annotated[int, Field(ge=1)]] = Field(description="resolutions with self-attention, in pixels")
    dropout: float = Field(ge=0, lt=1, description="dropout in the residual blocks")
    patch: Literal[1, 2, 4] = Field(description="side of the pixel blocks folded into channels before the UNet")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        description="auto takes bf16 where the device computes it natively"
    )
    seed: int = Field(ge=0, lt=2**32, description="seed of weights, data order, noise and dropout")
    log_every: int = Field(ge=1, description="steps between two rows of the loss table")
