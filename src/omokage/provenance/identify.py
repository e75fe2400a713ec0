"""Identify which run produced a file: by file hash, pixel hash or embedded metadata (its stamp).

A stamp alone is no proof, since the pixels can be edited while the stamp stays. Run records (see stamps/records.py)
list the sha256 of every output and, for a figure, of its pixels. The pixel hash stays the same if the file is renamed,
loses its metadata or is converted to another lossless format.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from omokage.base.errors import UserError
from omokage.base.files import hash_bytes, hash_file
from omokage.provenance.history import History, Revision
from omokage.stamps.records import Record, publish, trace_runs
from omokage.stamps.stamp import Stamp, hash_pixels, read_stamp

# Commands that write figures but no run record, by the key that they add to the stamp.
COMMANDS = {"transform": "omokage transform", "compare": "omokage compare"}
# The keys of a record that a stamp repeats for every run.
RECORD_PARTS = ("params", "deps", "code", "packages")


class Verdict(StrEnum):
    """Whether a file is an output of the pipeline."""

    RECORDED = "recorded"  # a record lists the file's bytes or pixels
    UNCONFIRMED = "unconfirmed"  # the file has a stamp that matches no record
    EDITED = "edited"  # the file's content contradicts its stamp or the record
    UNKNOWN = "unknown"  # the file has no stamp, and no record lists it


class OutputLocation(NamedTuple):
    """An output in a revision, with the path and sha256 that the record of `stage` lists."""

    revision: Revision
    stage: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Identification:
    """Which run produced a file.

    `description` is the verdict in words, to be read after the file's name. `stamp` identifies the runs behind the
    file. It is read from the file or, if the file has no stamp, built from the records. `locations` are the outputs
    that are equal to the file. For an edited file they are the originals, and for a figure of `omokage transform` the
    model.
    """

    verdict: Verdict
    description: str
    stamp: Stamp = field(default_factory=dict)
    locations: list[OutputLocation] = field(default_factory=list)


def identify(path: Path, history: History) -> Identification:
    """Identify which run produced a file: by its bytes, or by its pixels, or by its stamp, in this order.

    Raises OSError if the file cannot be read.
    """
    digest, stamp, pixels = hash_file(path), load_stamp(path), _load_pixel_hash(path)
    if locations := find_outputs(history, lambda record, out: record["outs"][out] == digest):
        stamp = stamp or _stamp_from_records(history, locations[0])
        return Identification(Verdict.RECORDED, "is a result of the pipeline, byte for byte", stamp, locations)
    is_intact = stamp is None or stamp.get("pixels", pixels) == pixels
    same_pixels = find_outputs(history, lambda record, out: _recorded_pixels(record, out) == pixels) if pixels else []
    if is_intact and same_pixels:
        return _identify_recorded_pixels(history, stamp, same_pixels)
    if stamp is None:
        return Identification(
            Verdict.UNKNOWN,
            "is not a known result: it has no Omokage metadata, and no record lists its bytes or pixels (copies that "
            "were scaled, cropped or saved as JPEG cannot be identified)",
        )
    return _identify_by_stamp(history, stamp, pixels)


def _identify_recorded_pixels(history: History, stamp: Stamp | None, locations: list[OutputLocation]) -> Identification:
    """Identify a file by `locations`, the recorded outputs with the same pixels.

    If the file has a stamp, only the locations with records that match the stamp count. Without any, the verdict is
    UNCONFIRMED.
    """
    description = "is a figure of the pipeline, pixel for pixel"
    if stamp is None:
        original = next((found for location in locations if (found := _original_stamp(history, location))), None)
        stamp = original or _stamp_from_records(history, locations[0])
        return Identification(Verdict.RECORDED, description, stamp, locations)
    if confirmed := [location for location in locations if _matches_location(history, stamp, location)]:
        return Identification(Verdict.RECORDED, description, stamp, confirmed)
    description = "has the pixels of a recorded figure, but the metadata of another run, which no record confirms"
    return Identification(Verdict.UNCONFIRMED, description, stamp)


def _identify_by_stamp(history: History, stamp: Stamp, pixels: str | None) -> Identification:
    """Identify a file by its stamp alone, if no record lists the bytes or pixels of the file."""
    locations = [
        location
        for location in find_outputs(history, lambda _, out: _is_named(out, stamp))
        if _matches_location(history, stamp, location)
    ]
    if stamp.get("pixels", pixels) != pixels:
        description = "was edited: its content does not match the hash in its metadata"
        return Identification(Verdict.EDITED, description, stamp, locations)
    if locations and "pixels" not in stamp:
        description = "was edited: its metadata matches a recorded run, but its content does not"
        return Identification(Verdict.EDITED, description, stamp, locations)
    if locations:
        description = (
            "has the metadata of a recorded run, but other content: it was edited and given new metadata, or generated "
            "on another kind of machine"
        )
        return Identification(Verdict.EDITED, description, stamp, locations)
    for key, command in COMMANDS.items():
        if key in stamp:
            models = find_outputs(history, lambda record, out: record["outs"][out] == stamp.get("model"))
            runs = _trace({models[0].path: models[0].sha256}, history.records(models[0].revision)) if models else {}
            description = f"was written by `{command}`, according to its metadata; no records are kept of that command"
            return Identification(Verdict.UNCONFIRMED, description, {**stamp, "runs": runs}, models)
    description = "has metadata that no record confirms" + (
        ", although the pixels match the hash in the metadata" * ("pixels" in stamp)
    )
    return Identification(Verdict.UNCONFIRMED, description, stamp)


def find_outputs(history: History, matches: Callable[[Record, str], bool]) -> list[OutputLocation]:
    """Return the outputs that records of any revision list and for which `matches(record, path)` is true."""
    return [
        OutputLocation(revision, stage, out, digest)
        for revision in history.revisions
        for stage, record in history.records(revision).items()
        for out, digest in record["outs"].items()
        if matches(record, out)
    ]


def find_mismatches(stamp: Stamp, stage: str, records: Mapping[str, Record]) -> list[str]:
    """Return the stages for which the stamp and the records describe different runs.

    `stamp` is that of an output of `stage`, and `records` are by stage.
    """
    record = publish(records[stage])
    upstream = [
        name for name, run in stamp.get("runs", {}).items() if name not in records or run != publish(records[name])
    ]
    is_same = all(record[part].get(key) == value for part in RECORD_PARTS for key, value in stamp.get(part, {}).items())
    return upstream if is_same else [*upstream, stage]


def load_stamp(path: Path) -> Stamp | None:
    """Return the stamp of a file, or None if the stamp is missing or malformed. Safe for untrusted files."""
    try:
        stamp = read_stamp(path)
    except (UserError, TypeError, SyntaxError, Image.DecompressionBombError):
        return None
    runs = stamp.get("runs", {})
    if (
        not {"figure", "report", *COMMANDS} & stamp.keys()
        or not all(isinstance(stamp.get(key, ""), str) for key in ("figure", "report"))
        or not isinstance(runs, dict)
        or not all(isinstance(run, dict) and set(RECORD_PARTS) <= run.keys() for run in runs.values())
    ):
        return None
    tables = [part[key] for part in (stamp, *runs.values()) for key in (*RECORD_PARTS, "facts") if key in part]
    commands = [stamp[key] for key in COMMANDS if key in stamp]
    return stamp if all(isinstance(table, dict) for table in (*tables, *commands)) else None


def _load_pixel_hash(path: Path) -> str | None:
    try:
        return hash_pixels(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _is_named(out: str, stamp: Stamp) -> bool:
    """Return whether the stamp gives the name of the figure or report with the path `out`."""
    return Path(out).name == stamp.get("figure") or out.rpartition(".")[0] == stamp.get("report")


def _matches_location(history: History, stamp: Stamp, location: OutputLocation) -> bool:
    """Return whether the stamp names the output at this location and agrees with the records of the revision."""
    records = history.records(location.revision)
    return _is_named(location.path, stamp) and not find_mismatches(stamp, location.stage, records)


def _recorded_pixels(record: Record, out: str) -> str | None:
    """Return the pixel hash that a record lists for the output `out`, or None if the output is not a figure."""
    return record.get("facts", {}).get("figures", {}).get(Path(out).name, {}).get("pixels")


def _original_stamp(history: History, location: OutputLocation) -> Stamp | None:
    """Return the stamp of the file at this location, or None if the revision lacks the file that the record lists."""
    content = history.read(location.revision, location.path)
    if content is None or hash_bytes(content) != location.sha256:
        return None
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(location.path).name
        copy.write_bytes(content)
        return load_stamp(copy)


def _stamp_from_records(history: History, location: OutputLocation) -> Stamp:
    """Return a stamp built from the records, for an output without a stamp, such as a table."""
    records = history.records(location.revision)
    run = publish(records[location.stage])
    return {**run, "runs": _trace(run["deps"], records)}


def _trace(deps: Mapping[str, str], records: Mapping[str, Record]) -> dict[str, Record]:
    """Return the runs upstream of the files `deps` (path -> sha256), or {} if the records contradict each other."""
    try:
        return trace_runs(deps, list(records.values()))
    except UserError:
        return {}
