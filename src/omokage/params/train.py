"""Parameters of the stage `train`: the network, the objective and the optimiser."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from omokage.params.schedule import ScheduleParams

# A batch of half_size_steps has HALF_SIZE_BATCH x batch_size images: an image of half the size takes a fraction of the
# work, so larger batches use the processor better.
HALF_SIZE_BATCH = 2
NO_MODEL = "none"  # the value of init_from for random initial weights; models/none is an empty file


class Params(ScheduleParams):
    prediction: Literal["eps", "x0", "v"]
    loss_weighting: Literal["simple", "min_snr", "snr", "truncated_snr"]
    min_snr_gamma: float = Field(gt=0, le=1000)
    loss_weight_floor: float = Field(ge=0, le=1)
    optimiser: Literal["muon", "adamw"]
    lr: float = Field(gt=0, le=1)
    warmup: float = Field(ge=0, le=1)
    decay: float = Field(ge=0, le=1)
    batch_size: int = Field(ge=1, le=65_536)
    half_size_steps: int = Field(ge=0, le=100_000_000)
    steps: int = Field(ge=1, le=100_000_000)
    ema_half_life: float = Field(gt=0)
    grad_clip: float = Field(gt=0)
    flip: bool
    model_channels: int = Field(ge=8, le=1024, multiple_of=8)
    channel_mult: list[Annotated[int, Field(ge=1, le=16)]] = Field(min_length=1, max_length=6)
    num_res_blocks: int = Field(ge=1, le=8)
    attention_resolutions: list[Annotated[int, Field(ge=1)]]
    dropout: float = Field(ge=0, lt=1)
    patch_size: Literal[1, 2, 4]
    precision: Literal["auto", "fp32", "bf16"]
    seed: int = Field(ge=0, lt=2**32)
    log_every: int = Field(ge=1)
    # A path below the folder `models` of the main checkout, in the characters that a URL of DVC keeps.
    init_from: Annotated[str, StringConstraints(pattern=r"^\w[\w.+@ -]*(/\w[\w.+@ -]*)*$")]
    keep_best: bool
