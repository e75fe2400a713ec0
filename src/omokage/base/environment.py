"""Settings from environment variables. They change speed or place, at most the last bits of sums."""

import os
from typing import TypeVar

from omokage.base.errors import UserError

N = TypeVar("N", int, float)


def read_positive(name: str, default: N) -> N:
    """Return a number above 0 of the type of `default` from the variable `name`, or `default` if it is not set.

    Raises UserError for anything else.
    """
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        value = type(default)(text)
    except ValueError:
        value = type(default)(0)
    if not 0 < value < float("inf"):
        kind = "whole number" if isinstance(default, int) else "number"
        raise UserError(f"{name} = {text!r}: expected a {kind} above 0")
    return value
