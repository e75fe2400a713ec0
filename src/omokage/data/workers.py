"""Apply a function to many items in several processes, with the results in order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from omokage.base.progress import show_progress

T = TypeVar("T")
R = TypeVar("R")


def map_in_order(
    function: Callable[[T], R], items: Sequence[T], processes: int, description: str, unit: str
) -> Iterator[R]:
    """Yield `function(item)` for each item, in the order of the items, computed in `processes` processes.

    With `processes` = 1 everything runs in the calling process. Otherwise processes are spawned, because forking a
    process that has threads (torch) may hang. `function` must then be picklable. If it raises an exception in a worker
    process, the calling process raises the same exception. `description` and `unit` (the noun for one item) appear in
    the progress bar.
    """
    if processes == 1:
        yield from show_progress(map(function, items), description, total=len(items), unit=unit)
        return
    # Large chunks need fewer messages; small chunks keep every process busy until the end.
    chunk_size = max(1, min(64, len(items) // (8 * processes)))
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        results = pool.map(function, items, chunksize=chunk_size)
        yield from show_progress(results, description, total=len(items), unit=unit)
    finally:
        pool.shutdown(cancel_futures=True)
