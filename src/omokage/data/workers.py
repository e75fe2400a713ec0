"""Fan-out over processes, with the results in order: the same for any number of processes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from omokage.progress import progress

T = TypeVar("T")
R = TypeVar("R")


def in_order(function: Callable[[T], R], items: Sequence[T], processes: int, what: str, unit: str) -> Iterator[R]:
    """Yield `function(item)` for each item, in the order of the items, computed by `processes` processes.

    With one process nothing is started. The processes are spawned, since forking one that has threads (torch) may
    hang; so `function` must be picklable. An exception raised by it is raised here.
    """
    if processes == 1:
        yield from progress(map(function, items), what, total=len(items), unit=unit)
        return
    # Pieces large enough to make messages cheap, small enough that the last ones keep every process busy.
    piece = max(1, min(64, len(items) // (8 * processes)))
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        yield from progress(pool.map(function, items, chunksize=piece), what, total=len(items), unit=unit)
    finally:
        pool.shutdown(cancel_futures=True)
