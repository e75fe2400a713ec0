"""The parameters of a run: as tables, with those that differ from their defaults first, and as params.yaml."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omokage.base.json_file import read_json
from omokage.report.tables import Cell, Table
from omokage.report.wording import format_value
from omokage.stamps.records import Record, publish

# The default of every parameter. `make deps` writes this file from config/parameters.py. The report may not import that
# module: config is above the stages, and every edit of a parameter's meaning there would rerun the report.
DEFAULTS = Path(__file__).parent / "defaults.json"
CHANGED, UNCHANGED = "Parameters that differ from their default", "Parameters with their default"


def collect_parameters(records: Sequence[Record], report_params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of all stages by name, without the path of the user's own images.

    `report_params` are those of the stage `report`, which has no record yet.
    """
    return {key: value for _, params in _list_stages(records, report_params) for key, value in params.items()}


def tabulate_parameters(records: Sequence[Record], report_params: Mapping[str, Any]) -> list[Table]:
    """Return two tables with the stages of each parameter: those that differ from their default, and the others.

    A parameter without a default counts as different. An empty table is left out.
    """
    defaults = read_json(DEFAULTS)
    stages: dict[str, list[str]] = {}
    for name, params in _list_stages(records, report_params):
        for key in params:
            stages.setdefault(key, []).append(name)
    changed: list[list[Cell]] = []
    unchanged: list[list[Cell]] = []
    for key, value in collect_parameters(records, report_params).items():
        heading, stage, default = Cell(key), Cell(", ".join(stages[key])), defaults.get(key)
        if key in defaults and value == default:
            unchanged.append([heading, _make_cell(value), stage])
        else:
            changed.append(
                [heading, _make_cell(value), _make_cell(default) if key in defaults else Cell("none"), stage]
            )
    tables = [
        Table(CHANGED, ["parameter", "value", "default", "stage"], changed),
        Table(UNCHANGED, ["parameter", "value", "stage"], unchanged, is_compact=True),
    ]
    return [table for table in tables if table.rows]


def format_params_file(records: Sequence[Record], report_params: Mapping[str, Any]) -> str:
    """Return the run's parameters in the format of params.yaml, without the path of the user's own images.

    Values are written as JSON, which is valid YAML, so no value can break the syntax.
    """
    params = collect_parameters(records, report_params)
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in params.items())


def _list_stages(records: Sequence[Record], report_params: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [*((record["stage"], publish(record)["params"]) for record in records), ("report", report_params)]


def _make_cell(value: Any) -> Cell:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(format_value(value), value if is_number else None)
