"""The tables of the report: rows of cells, which a page can sort."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omokage.params.words import WORDS
from omokage.provenance import Record, public
from omokage.report.copies import CHANCE
from omokage.report.run import Run
from omokage.report.words import number, percent, signed

SCORES = {
    "distance": "nearness of all samples to all real faces: lower is better",
    "kid": "the same, hardly biased where there are few samples: lower is better",
    "precision": "share of the samples that look real: higher is better",
    "recall": "share of the real faces that the model could draw: higher is better",
    "density": "how thickly real faces lie around the samples: higher is better",
    "coverage": "share of the real faces with a sample near by: higher is better",
    "copied": "share of the samples suspiciously near to a face trained on: about 0.01 is chance",
    "copy_ratio": "how far the nearest face trained on is, beside the nearest held out",
}
STYLES = {
    "red": "mean shift, of 255",
    "green": "mean shift, of 255",
    "blue": "mean shift, of 255",
    "contrast": "ratio to held-out faces",
    "saturation": "ratio to held-out faces",
    "sharpness": "ratio to held-out faces",
}


@dataclass(frozen=True)
class Cell:
    """What a cell says, and the number to sort it by if it is one."""

    text: str
    order: float | None = None


@dataclass(frozen=True)
class Table:
    """A caption, the names of the columns, and rows as long as these; where it is explained, by the last column."""

    caption: str
    columns: Sequence[str]
    rows: list[list[Cell]]
    explained: bool = False


def scores(run: Run) -> Table:
    """Return every score beside its floor, with its interval where it has one."""
    metrics, rows = run.metrics, []
    for key, meaning in SCORES.items():
        ends = [metrics[f"{key}_{end}"] for end in ("low", "high") if f"{key}_{end}" in metrics]
        interval = Cell(" to ".join(map(number, ends)), *ends[:1])
        # Copies have no floor but chance.
        floor = CHANCE if key == "copied" else metrics[f"{key}_floor"]
        name = {"distance": metrics["score"], "kid": "KID", "copy_ratio": "copy ratio"}.get(key, key)
        digits = None if key in ("distance", "kid") else 4
        rows.append([Cell(name), _number(metrics[key], digits), interval, _number(floor, digits), Cell(meaning)])
    return Table("Scores", ["score", "samples", "95 % interval", "real faces", "what it says"], rows, explained=True)


def styles(run: Run) -> Table:
    """Return how the samples differ from held-out faces in colour, contrast, saturation and sharpness."""
    rows = []
    for key, meaning in STYLES.items():
        shown = [run.metrics[of][key] for of in ("style", "style_floor")]
        cells = [Cell(signed(value), value) if meaning.startswith("mean") else _number(value) for value in shown]
        rows.append([Cell(key), *cells, Cell(meaning)])
    return Table(
        "Beside held-out faces", ["measure", "samples", "faces trained on", "what it says"], rows, explained=True
    )


def dropped(run: Run) -> Table:
    """Return why how many faces were left out."""
    pictures = run.faces["pictures"]
    rows = [
        [Cell(reason.replace("_", " ")), _number(lost), Cell(percent(lost / pictures), lost / pictures)]
        for reason, lost in sorted(run.faces["dropped"].items())
        if lost
    ]
    return Table("What was dropped", ["reason", "faces", "share of all pictures"], rows)


def measured(caption: str, rows: Sequence[Mapping[str, str]]) -> Table:
    """Return a table of the evaluation as it is."""
    return Table(caption, list(rows[0]), [[_read(value) for value in row.values()] for row in rows])


def parameters(records: Iterable[Record], own: Mapping[str, Any]) -> Table:
    """Return every stage's parameters as its record has them, and the report's own, with their meaning."""
    stages = [(run["stage"], public(run)["params"]) for run in records] + [("report", own)]
    rows = [
        [Cell(stage), Cell(key), Cell(written(value), _order(value)), Cell(WORDS.get(key, ""))]
        for stage, params in stages
        for key, value in params.items()
    ]
    return Table("Every parameter of this run", ["stage", "parameter", "value", "what it is"], rows, explained=True)


def machines(records: Iterable[Record]) -> Table:
    """Return where and how the stages that compute on a device ran."""
    rows = []
    for run in records:
        facts = run["facts"]
        if "device" in facts:
            weights = facts.get("parameters")
            rows.append(
                [
                    Cell(run["stage"]),
                    Cell(facts["device"]),
                    _number(run["threads"]),
                    Cell(facts.get("precision", "")),
                    Cell("") if weights is None else _number(weights),
                ]
            )
    return Table("Where it ran", ["stage", "device", "CPU threads", "precision", "weights"], rows)


def written(value: Any) -> str:
    """Return a parameter's value as a person would write it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: float, digits: int | None = None) -> Cell:
    return Cell(number(value if digits is None else round(value, digits)), value)


def _read(value: str) -> Cell:
    try:
        return _number(int(value) if value.isdecimal() else float(value))
    except ValueError:
        return Cell(value)


def _order(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
