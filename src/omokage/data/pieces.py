"""Work in pieces, each a file: made once, by any process of any job, and found again after a kill."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from omokage.data.workers import in_order

PIECES = 256


@dataclass(frozen=True)
class Pieces:
    """`total` items in pieces of at most `largest` neighbours.

    `make(items, path)` writes the piece of the items of those numbers to `path`.
    `folder` belongs to one run alone (its parameters, inputs and code), so that a piece found there can be trusted.
    """

    folder: Path
    make: Callable[[range, Path], None]
    total: int
    largest: int = 1024

    def __call__(self, number: int) -> Path:
        """Return where piece `number` lies, after making it if it is not there."""
        path = self.folder / f"piece-{number:06d}"
        if not path.exists():
            partial = path.with_name(f"{path.name}.{uuid4().hex}")  # jobs on two nodes may have one pid
            self.make(range(number * self._size, min((number + 1) * self._size, self.total)), partial)
            partial.replace(path)
        return path

    def made(self, processes: int, what: str, part: tuple[int, int] = (0, 1)) -> list[Path]:
        """Return all pieces in order, or with `part` = (k, n) every n-th from the k-th on, by so many processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = range(-(-self.total // self._size))[part[0] :: part[1]]
        return list(in_order(self, numbers, min(processes, max(1, len(numbers))), what, "batch"))

    @property
    def _size(self) -> int:
        return max(1, min(self.largest, self.total // PIECES))
