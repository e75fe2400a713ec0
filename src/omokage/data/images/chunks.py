"""Process many items in chunks, and write one file per chunk, so that an interrupted run can resume.

Several processes and several jobs can share the chunks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from omokage.base.files import write_atomically
from omokage.data.workers import map_in_order

MIN_CHUNKS = 256  # for 256 items or more, so that many jobs can share the chunks


@dataclass(frozen=True)
class ChunkedWork:
    """The processing of `total` items in chunks of at most `max_items` consecutive items.

    `write_chunk(numbers, path)` must write the results for the items with these numbers (from 0) to `path`. The files
    are written to `folder`, and a chunk is not computed again if its file exists. So `folder` must be used only by runs
    with the same parameters, inputs and code.
    """

    folder: Path
    write_chunk: Callable[[range, Path], None]
    total: int
    max_items: int = 1024

    def compute(self, number: int) -> Path:
        """Return the path of the file of chunk `number`; compute the chunk first if the file does not exist."""
        path = self.folder / f"chunk-{number:06d}"
        if not path.exists():
            start = number * self._chunk_size
            with write_atomically(path) as partial:
                self.write_chunk(range(start, min(start + self._chunk_size, self.total)), partial)
        return path

    def compute_all(self, processes: int, description: str, part: tuple[int, int] = (0, 1)) -> list[Path]:
        """Compute all chunks in `processes` processes, and return the paths of their files in order.

        With `part` = (k, n) only every n-th chunk, starting with chunk k, is computed and returned. `description`
        appears in the progress bar.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = range(-(-self.total // self._chunk_size))[part[0] :: part[1]]
        processes = min(processes, max(1, len(numbers)))
        return list(map_in_order(self.compute, numbers, processes, description, "batch"))

    @property
    def _chunk_size(self) -> int:
        return max(1, min(self.max_items, self.total // MIN_CHUNKS))
