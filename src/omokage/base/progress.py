"""Show the progress of a loop and the time left, on a terminal or in a log file."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def show_progress(
    items: Iterable[T], label: str, *, total: int | None = None, initial: int = 0, unit: str = "it"
) -> "tqdm[T]":
    """Return an iterator over `items` that shows how many are done, the speed and the time left.

    `label` is the text in front of the numbers, and `unit` the noun for an item. `total` is the number of items, and
    `initial` the number done by an interrupted run before. On a terminal a bar is redrawn; elsewhere (a log, a cluster
    job) a line is written every ten seconds.
    """
    is_terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=label,
        total=total,
        initial=initial,
        unit=unit,
        dynamic_ncols=is_terminal,
        mininterval=0.5 if is_terminal else 10,
        maxinterval=1 if is_terminal else 20,
        bar_format=None
        if is_terminal
        else "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]{postfix}\n",
        file=sys.stderr,
    )
