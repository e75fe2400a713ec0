"""Identify which run produced a file: by file hash, pixel hash or embedded metadata (its stamp).

A stamp alone is no proof, since the pixels can be edited while the stamp stays. The dvc.lock of every revision lists
the MD5 of every output, and git has the figures and reports themselves. The pixel hash stays the same if the file is
renamed, loses its metadata or is converted to another lossless format.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from omokage.base.errors import UserError
from omokage.provenance.history import WORKSPACE, History
from omokage.provenance.locked_runs import OutputLocation, describe_runs, find_outputs
from omokage.provenance.stamped_files import (
    COMMANDS,
    MODEL,
    Signature,
    find_stamped_outputs,
    read_location,
    sign_file,
)
from omokage.stamps.records import trace_runs
from omokage.stamps.stamp import Stamp


class Verdict(StrEnum):
    """Whether a file is an output of the pipeline.

    A figure or report is recorded in a revision that has it and whose dvc.lock lists it.
    """

    RECORDED = "recorded"  # a dvc.lock lists the file's bytes, or a recorded figure has its pixels
    UNCONFIRMED = "unconfirmed"  # the file has a stamp that no recorded figure or report has
    EDITED = "edited"  # the file's content contradicts its stamp or the recorded figure
    UNKNOWN = "unknown"  # the file has no stamp, and neither its bytes nor its pixels are recorded


@dataclass(frozen=True)
class Identification:
    """Which run produced a file.

    `description` is the verdict in words, to be read after the file's name. `stamp` identifies the runs behind the
    file. It is read from the file or, if the file has no stamp, from the recorded figure or from dvc.lock. `locations`
    are the outputs that are equal to the file. For an edited file they are the originals, and for a file of
    `omokage transform` or `omokage sample` the model.
    """

    verdict: Verdict
    description: str
    stamp: Stamp = field(default_factory=dict)
    locations: list[OutputLocation] = field(default_factory=list)


def identify(path: Path, history: History) -> Identification:
    """Identify which run produced a file or folder: by its bytes, its pixels or its stamp, in this order.

    Raises UserError if there is no such file, and OSError if it cannot be read.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: expected a figure, report, table or other result of the pipeline")
    signature, stamp = sign_file(path)
    if locations := find_outputs(history, signature.md5):
        stamp = stamp or describe_runs(history, locations)
        return Identification(Verdict.RECORDED, "is a result of the pipeline, byte for byte", stamp, locations)
    recorded, hint = list(find_stamped_outputs(history)), _explain_unrecorded(path, history)
    is_intact = stamp is None or stamp.get("pixels", signature.pixels) == signature.pixels
    same_pixels = [item for item in recorded if signature.pixels and item[1].pixels == signature.pixels]
    if is_intact and same_pixels:
        return _identify_by_pixels(history, signature, stamp, same_pixels)
    if stamp is None:
        return Identification(
            Verdict.UNKNOWN,
            "is not a known result: it has no Omokage metadata, and no record lists its bytes or pixels (copies that "
            f"were scaled, cropped or saved as JPEG cannot be identified){hint}",
        )
    found = _identify_by_stamp(history, path, signature, stamp, recorded)
    return found if found.locations else replace(found, description=f"{found.description}{hint}")


def _explain_unrecorded(path: Path, history: History) -> str:
    """Return a note if the file is an output in the workspace, so that Snakemake may have run without DVC."""
    outputs = {out for entry in history.locks(WORKSPACE).values() for out in entry["outs"]}
    is_output = any((history.root / out).resolve() == path.resolve() for out in outputs)
    return "; if Snakemake made it without DVC, `dvc commit` records it" if is_output else ""


def _identify_by_pixels(
    history: History,
    signature: Signature,
    stamp: Stamp | None,
    same_pixels: Sequence[tuple[OutputLocation, Signature]],
) -> Identification:
    """Identify a file by recorded figures with the same pixels.

    If the file has a stamp, only the figures with the same stamp count. Without any, the verdict is UNCONFIRMED.
    """
    description = "is a figure of the pipeline, pixel for pixel"
    if stamp is None:
        locations = [location for location, _ in same_pixels]
        original = read_location(history, locations[0]) or describe_runs(history, locations)
        return Identification(Verdict.RECORDED, description, original, locations)
    if confirmed := [location for location, figure in same_pixels if figure.stamp == signature.stamp]:
        return Identification(Verdict.RECORDED, description, stamp, confirmed)
    description = "has the pixels of a recorded figure, but the metadata of a different run, which no record confirms"
    return Identification(Verdict.UNCONFIRMED, description, stamp)


def _identify_by_stamp(
    history: History,
    path: Path,
    signature: Signature,
    stamp: Stamp,
    recorded: Sequence[tuple[OutputLocation, Signature]],
) -> Identification:
    """Identify a file by its stamp alone, if neither its bytes nor its pixels are recorded."""
    same_stamp = [location for location, figure in recorded if figure.stamp == signature.stamp]
    # The HTML and the Markdown report have the same stamp.
    locations = [found for found in same_stamp if Path(found.path).suffix == path.suffix] or same_stamp
    if stamp.get("pixels", signature.pixels) != signature.pixels:
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
    if command := next((key for key in COMMANDS if key in stamp), None):
        return _identify_by_command(history, command, stamp, recorded)
    description = "has metadata that no record confirms" + (
        ", although the pixels match the hash in the metadata" * ("pixels" in stamp)
    )
    return Identification(Verdict.UNCONFIRMED, description, stamp)


def _identify_by_command(
    history: History, command: str, stamp: Stamp, recorded: Sequence[tuple[OutputLocation, Signature]]
) -> Identification:
    """Identify a file that a command wrote; recorded figures name the run of the model in its metadata."""
    description = (
        f"was written by `{COMMANDS[command]}`, according to its metadata; no records are kept of that command"
    )
    figures = [location for location, figure in recorded if "model" in stamp and figure.model == stamp["model"]]
    original = read_location(history, figures[0]) if figures else None
    runs = [{"stage": name, **run} for name, run in original["runs"].items()] if original else []
    models = [
        OutputLocation(revision, "train", MODEL, history.locks(revision)["train"]["outs"][MODEL])
        for revision in dict.fromkeys(location.revision for location in figures)
    ]
    runs_of_model = trace_runs({MODEL: stamp["model"]}, runs) if runs else {}
    return Identification(Verdict.UNCONFIRMED, description, {**stamp, "runs": runs_of_model}, models)
