"""Whose a picture, a report or any other result is, by its bytes, its pixels and its stamp.

A stamp alone is no proof, since pixels can be edited under it. Records list what was made: the hash of every file and,
of a picture, that of its pixels, which outlives another name, the loss of its metadata and any lossless format.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from omokage import provenance
from omokage.errors import Refused
from omokage.history import History, Revision
from omokage.provenance import Record, Stamp

# What commands draw, and no record lists: the key in the stamp that tells so.
DRAWN_BY = {"transform": "omokage transform", "compare": "omokage compare"}
# What a stamp tells of each run, and of its own.
PARTS = ("params", "deps", "code", "packages")


class Verdict(StrEnum):
    """Whether a file is the pipeline's."""

    RECORDED = "recorded"
    UNCONFIRMED = "unconfirmed"
    EDITED = "edited"
    UNKNOWN = "unknown"


class Holding(NamedTuple):
    """A revision whose record of `stage` lists the output `path`, with this hash."""

    revision: Revision
    stage: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Trace:
    """A verdict, the same in words, the stamp that tells what made the file, and the revisions that hold it.

    For an edited file these hold what it was before, for a sheet of `omokage transform` its model.
    """

    verdict: Verdict
    says: str
    stamp: Stamp = field(default_factory=dict)
    held: list[Holding] = field(default_factory=list)


def trace(path: Path, history: History) -> Trace:
    """Return whose a file is; raise OSError if it cannot be read."""
    content, stamp, pixels = sha256(path.read_bytes()).hexdigest(), _stamp(path), _pixels(path)
    if held := holding(history, lambda record, out: record["outs"][out] == content):
        told = stamp or _by_the_records(history, held[0])
        return Trace(Verdict.RECORDED, "is a result of the pipeline, byte for byte", told, held)
    if pixels and (held := holding(history, lambda record, out: _drawn(record, out) == pixels)):
        says = "is a figure of the pipeline, pixel for pixel"
        if stamp is None:
            original = next((found for one in held if (found := _original(history, one))), None)
            told = original or _by_the_records(history, held[0])
            return Trace(Verdict.RECORDED, says, told, held)
        if stamp.get("pixels", pixels) == pixels:
            if same := [one for one in held if _carries(one.path, stamp) and _fits(history, one, stamp)]:
                return Trace(Verdict.RECORDED, says, stamp, same)
            says = "has the pixels of a recorded figure, but the stamp of another run, which no record here confirms"
            return Trace(Verdict.UNCONFIRMED, says, stamp)
    if stamp is None:
        return Trace(
            Verdict.UNKNOWN,
            "is not ours: it carries no stamp, and no record here lists its bytes or pixels (a copy that was scaled, "
            "cropped or saved with loss, as JPEG does, cannot be known again)",
        )
    return _stamped_only(history, stamp, pixels)


def _stamped_only(history: History, stamp: Stamp, pixels: str | None) -> Trace:
    """Judge a file that carries a stamp, but is in no record."""
    held = [one for one in holding(history, lambda _, out: _carries(out, stamp)) if _fits(history, one, stamp)]
    what = "pixels are" if pixels else "text is"
    if stamp.get("pixels", pixels) != pixels or (held and "pixels" not in stamp):
        return Trace(Verdict.EDITED, f"was edited after it was made: its stamp is ours, its {what} not", stamp, held)
    if held:
        says = (
            "is not what was drawn: its stamp is that of a record, which lists other pixels: stamped anew after an edit"
        )
        return Trace(Verdict.EDITED, f"{says}, or drawn again on another kind of machine", stamp, held)
    for key, command in DRAWN_BY.items():
        if key in stamp:
            models = holding(history, lambda record, out: record["outs"][out] == stamp.get("model"))
            runs = _chain({models[0].path: models[0].sha256}, history.records(models[0].revision)) if models else {}
            says = f"was drawn by `{command}`, as its stamp says; no records are kept of that"
            return Trace(Verdict.UNCONFIRMED, says, {**stamp, "runs": runs}, models)
    says = "carries a stamp that no record here confirms" + (", though it fits its pixels" * ("pixels" in stamp))
    return Trace(Verdict.UNCONFIRMED, says, stamp)


def holding(history: History, wanted: Callable[[Record, str], bool]) -> list[Holding]:
    """Return those outputs of all revisions, by their records, that are wanted."""
    return [
        Holding(revision, stage, out, digest)
        for revision in history.revisions
        for stage, record in history.records(revision).items()
        for out, digest in record["outs"].items()
        if wanted(record, out)
    ]


def misfits(stamp: Stamp, stage: str, records: Mapping[str, Record]) -> list[str]:
    """Return the stages, `stage` and those before it, of whose runs a stamp tells otherwise than the records."""
    record = provenance.public(records[stage])
    own = all(record[part].get(key) == value for part in PARTS for key, value in stamp.get(part, {}).items())
    before = [
        name for name, run in stamp.get("runs", {}).items() if name not in records or run != stamped(records[name])
    ]
    return before if own else [*before, stage]


def stamped(record: Record) -> Record:
    """Return a record as the stamps of what rests on it carry it."""
    return provenance.public({key: value for key, value in record.items() if key != "stage"})


def _stamp(path: Path) -> Stamp | None:
    """Return the stamp of a file; what is none, whoever wrote it there, counts as none."""
    try:
        stamp = provenance.read(path)
    except (Refused, TypeError, SyntaxError, Image.DecompressionBombError):
        return None
    runs = stamp.get("runs", {})
    if (
        not {"figure", "report", *DRAWN_BY} & stamp.keys()
        or not isinstance(runs, dict)
        or not all(isinstance(run, dict) and set(PARTS) <= run.keys() for run in runs.values())
    ):
        return None
    tables = [part[key] for part in (stamp, *runs.values()) for key in (*PARTS, "facts") if key in part]
    drawn = [stamp[key] for key in DRAWN_BY if key in stamp]
    return stamp if all(isinstance(table, dict) for table in (*tables, *drawn)) else None


def _pixels(path: Path) -> str | None:
    try:
        return provenance.pixels(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _carries(out: str, stamp: Stamp) -> bool:
    """Return whether a stamp names itself after an output of this path."""
    return Path(out).name == stamp.get("figure") or out.rpartition(".")[0] == stamp.get("report")


def _fits(history: History, held: Holding, stamp: Stamp) -> bool:
    return not misfits(stamp, held.stage, history.records(held.revision))


def _drawn(record: Record, out: str) -> str | None:
    """Return the hash of the pixels that a record lists for one of its outputs, if it is a figure."""
    return record.get("facts", {}).get("figures", {}).get(Path(out).name, {}).get("pixels")


def _original(history: History, held: Holding) -> Stamp | None:
    """Return the stamp of an output as the revision has it, or None if it is not there."""
    content = history.read(held.revision, held.path)
    if content is None or sha256(content).hexdigest() != held.sha256:
        return None
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(held.path).name
        copy.write_bytes(content)
        return _stamp(copy)


def _by_the_records(history: History, held: Holding) -> Stamp:
    """Return what the stamp of an output would say that carries none, such as a table."""
    records = history.records(held.revision)
    own = stamped(records[held.stage])
    return {**own, "runs": _chain(own["deps"], records)}


def _chain(deps: Mapping[str, str], records: Mapping[str, Record]) -> dict[str, Record]:
    try:
        return provenance.chain(deps, list(records.values()))
    except Refused:
        return {}
