"""Parameters of `evaluate`: how samples are judged."""

from pydantic import Field

from omokage.params.extractor import ExtractorParams


class Params(ExtractorParams):
    kid_subsets: int = Field(ge=1, le=10_000)
    kid_subset_size: int = Field(ge=2, le=10_000)
    bootstrap: int = Field(ge=20, le=100_000)
    evaluate_seed: int = Field(ge=0, lt=2**32)
    # As the training had them: how many pictures it saw in a step, and whether it may have learned mirror images.
    batch_size: int
    flip: bool
