"""Progress with the time left, for a terminal and for a log file alike."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(
    items: Iterable[T], what: str, *, total: int | None = None, initial: int = 0, unit: str = "it"
) -> "tqdm[T]":
    """Iterate over `items`, showing how many of `total` are done, the speed and the time left.

    On a terminal a bar is redrawn; elsewhere (a log, a cluster job) a line is written every ten seconds.
    """
    live = sys.stderr.isatty()
    return tqdm(
        items,
        desc=what,
        total=total,
        initial=initial,
        unit=unit,
        dynamic_ncols=live,
        mininterval=0.5 if live else 10,
        maxinterval=1 if live else 20,
        bar_format=None
        if live
        else "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]{postfix}\n",
        file=sys.stderr,
    )
