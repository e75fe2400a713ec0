"""The feature extractor, a parameter that `extractor_weights`, `reference` and `evaluate` share."""

from typing import Literal

from omokage.base.parameters import Parameters


class ExtractorParams(Parameters):
    extractor: Literal["efficientnet-lite0", "inception"]
