"""Parameters of `report`."""

from typing import Annotated

from pydantic import StringConstraints

from omokage.base.parameters import Parameters


class Params(Parameters):
    report_title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
