"""Batches made ready while a GPU computes: it would wait for a core that draws noise."""

from concurrent.futures import Future, ThreadPoolExecutor

from omokage.training.batches import Batch, Batches

THREADS = 3
DEPTH = 6


class Ahead:
    """The batches of `batches`, the next few of them made by threads into pinned memory.

    What a batch holds depends on its step alone, so it does not matter who makes it, or when.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="batches")
        self._coming: dict[int, Future[Batch]] = {}

    def at(self, step: int) -> Batch:
        """Return the whole batch of `step`, pinned, and have the next ones made."""
        for number in range(step, step + DEPTH):
            if number not in self._coming:
                self._coming[number] = self._pool.submit(self._made, number)
        return self._coming.pop(step).result()

    def _made(self, step: int) -> Batch:
        return self.batches.at(step).pinned()
