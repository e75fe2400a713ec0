"""Parameters of `evaluate`: how samples are judged."""

from pydantic import Field

from omokage.params.extractor import ExtractorParams


class Params(ExtractorParams):
    kid_subsets: int = Field(ge=1, le=10_000)
    kid_subset_size: int = Field(ge=2, le=10_000)
    evaluate_seed: int = Field(ge=0, lt=2**32)
