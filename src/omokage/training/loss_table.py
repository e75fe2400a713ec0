"""Write the loss table while training runs."""

from functools import cached_property
from pathlib import Path
from typing import TextIO

from dvclive import Live

from omokage.training.trainer import Row

# The errors of the EMA network on faces of both splits, which only some rows have.
ERRORS = ("train", "held_out")
COLUMNS = ("step", "lr", "loss", *ERRORS)


class LossTable:
    """The loss by step, as a CSV file at `path` and as DVCLive metrics in `live_folder` for `dvc exp show`.

    The files are created when the first row is added, or at the end. A run that fails earlier leaves the files of the
    previous run as they are. Without a `live_folder` there are no metrics.
    """

    def __init__(self, path: Path, live_folder: Path | None = None) -> None:
        self.path, self.folder = path, live_folder

    @cached_property
    def _file(self) -> TextIO:
        file = self.path.open("w", newline="", encoding="utf-8")
        file.write(f"{','.join(COLUMNS)}\n")
        return file

    @cached_property
    def _live(self) -> Live | None:
        if self.folder is None:
            return None
        return Live(str(self.folder), dvcyaml=None, report=None, save_dvc_exp=False)

    def add(self, row: Row) -> None:
        """Append one row and write it to disk at once, so that the user can watch the run."""
        errors = ",".join(f"{row[column]:.6g}" if column in row else "" for column in ERRORS)
        self._file.write(f"{row['step']:.0f},{row['lr']:.6g},{row['loss']:.6g},{errors}\n")
        self._file.flush()
        if self._live is not None:
            self._live.step = int(row["step"])
            self._live.log_metric("loss", float(f"{row['loss']:.6g}"), plot=False)
            self._live.make_summary()

    def close(self) -> None:
        """Close the file and end DVCLive."""
        self._file.close()
        if self._live is not None:
            self._live.end()
