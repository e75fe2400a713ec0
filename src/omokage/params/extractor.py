"""The parameter that `reference` and `evaluate` share."""

from typing import Literal

from pydantic import Field

from omokage.params.base import Parameters


class ExtractorParams(Parameters):
    extractor: Literal["efficientnet-lite0", "inception"] = Field(
        description="network whose features are compared; inception gives FID and needs its weights file (see README)"
    )
