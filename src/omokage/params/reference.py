"""Parameters of `reference`: the number of real faces whose features are computed."""

from pydantic import Field

from omokage.params.extractor import ExtractorParams


class Params(ExtractorParams):
    reference_faces: int = Field(ge=2, le=100_000)
