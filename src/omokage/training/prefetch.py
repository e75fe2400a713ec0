"""Prepare batches in threads while a GPU computes.

Otherwise the GPU would wait for noise, which is generated on the CPU.
"""

from concurrent.futures import Future, ThreadPoolExecutor

from omokage.training.batches import Batch, Batches

THREADS = 3
DEPTH = 6


class Prefetcher:
    """Prepares the next DEPTH batches in threads, in pinned memory.

    A batch is a function of its step, so neither the thread nor the time of its preparation matters.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="batches")
        self._pending: dict[int, Future[Batch]] = {}

    def get(self, step: int) -> Batch:
        """Return the batch of `step` in pinned memory, and start to prepare the next batches.

        It contains the images of all processes that train together.
        """
        for number in range(step, step + DEPTH):
            if number not in self._pending:
                self._pending[number] = self._pool.submit(self._prepare, number)
        return self._pending.pop(step).result()

    def _prepare(self, step: int) -> Batch:
        return self.batches.get(step).pin_memory()
