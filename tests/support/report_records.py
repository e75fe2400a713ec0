"""Run records from which the sections of a report are written, and readers of the texts in these sections."""

from collections.abc import Mapping, Sequence
from typing import Any

from omokage.config.parameters import DESCRIPTIONS
from omokage.report.content import Block
from omokage.report.tables import Table
from support.fixtures import UPSTREAM_STAGES

DEFAULTS = {key: description.default for key, description in DESCRIPTIONS.items()}
FACTS: dict[str, Any] = dict(UPSTREAM_STAGES["train"].facts)
MANIFEST: dict[str, Any] = {"name": "Mine", "version": "", "source": "folder", "licences": []}


def make_records(facts: Mapping[str, Any] = FACTS, **changes: Any) -> list[dict[str, Any]]:
    """Return run records that together have all parameters, with `changes`, and the facts of the training."""
    return [
        {
            "stage": stage,
            "params": {**DEFAULTS, **changes} if stage == "train" else {},
            "deps": {},
            "threads": 2,
            "packages": {"numpy": "2.0", stage: "1"},
            "facts": {
                "train": facts,
                "sample": {"device": "cpu", "images": 500},
                "transform": {"round_trip_grey_levels": [1.0]},
            }.get(stage, {}),
        }
        for stage in UPSTREAM_STAGES
    ]


def list_texts(blocks: Sequence[Block]) -> list[str]:
    """Return every text of the blocks: paragraphs, and the captions and cells of tables."""
    texts: list[str] = []
    for block in blocks:
        if isinstance(block, Table):
            texts += [block.caption, *block.columns, *(cell.text for row in block.rows for cell in row)]
        elif isinstance(block, str):
            texts.append(block)
    return [text.replace("\u00a0", " ") for text in texts]


def read_rows(table: Table) -> dict[str, list[str]]:
    """Return the texts of a table's rows by that of their first cell."""
    return {row[0].text: [cell.text.replace("\u00a0", " ") for cell in row[1:]] for row in table.rows}
