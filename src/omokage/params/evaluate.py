"""Parameters of `evaluate`: how the samples are scored."""

from pydantic import Field

from omokage.params.extractor import ExtractorParams


class Params(ExtractorParams):
    kid_subsets: int = Field(ge=1, le=10_000)
    kid_subset_size: int = Field(ge=2, le=10_000)
    bootstrap: int = Field(ge=20, le=100_000)
    distance_to_train: bool
    evaluate_seed: int = Field(ge=0, lt=2**32)
    # Also a parameter of `train`: it gives the images seen by each snapshot.
    batch_size: int
