"""The parameter that `weights`, `reference` and `evaluate` share."""

from typing import Literal

from omokage.params.base import Parameters


class ExtractorParams(Parameters):
    extractor: Literal["efficientnet-lite0", "inception"]
