"""Look up parameters and facts in the run records, and build tables of settings with the reason for each."""

from collections.abc import Iterable
from typing import Any

from omokage.report.tables import Cell, Table
from omokage.stamps.records import Record, publish

# A setting, its value in words, and the reason for this value (empty if there is none to give).
Row = tuple[str, str, str]


def merge_params(records: Iterable[Record]) -> dict[str, Any]:
    """Return the parameters of all stages, without the path of the user's own images."""
    return {key: value for record in records for key, value in publish(record)["params"].items()}


def tabulate_settings(caption: str, rows: Iterable[Row]) -> Table:
    """Return a table of settings."""
    cells = [[Cell(text) for text in row] for row in rows]
    return Table(caption, ["setting", "this run", "reason"], cells, has_meanings=True)
