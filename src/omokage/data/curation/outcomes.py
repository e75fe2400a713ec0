"""Count what became of every file and face, check the counts, and write the table of decisions."""

import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.data.curation.curate import REPEATED, CurationDecision, FaceRecord
from omokage.data.detection.table import SKIPPED
from omokage.data.shards import SPLITS

MIN_FACES = 2  # per split
WARNED_SHARE = 0.1  # of the images; if more are dropped, the stage prints a warning
COLUMNS = ("picture", "face", "fate", "reason", "width", "height", "how", "box")
REMEDIES = {
    "no face found": "set crop: whole if the images are face crops already, or lower crop_likelihood",
    "too small": "lower min_side",
    "blurred": "lower min_sharpness",
    "uniform": "lower min_contrast",
    "colourless": "lower min_colour",
}


class TooFewFacesError(UserError):
    """The training set or the held-out set has fewer than MIN_FACES faces."""


def count_outcomes(
    records: Sequence[FaceRecord], decisions: Sequence[CurationDecision], splits: Sequence[str]
) -> dict[str, Any]:
    """Return the counts for results/curation.json.

    - `files`: all files of the source, of which `left_out` are no images and `pictures` are images
    - `pictures_kept`: images with at least one face that was kept; `pictures_repeated`: others, of which a face repeats
      a face of another image; `pictures_dropped`: the rest
    - `kept`: kept faces, also by method ("detected" or "whole", see FaceCrop) and by split
    - `dropped`: by kind, dropped faces, and images in which no face was found
    """
    methods = Counter(record.crop.method for record, split in zip(records, splits, strict=True) if split)
    kinds = Counter(decision.kind for decision in decisions if decision.is_dropped)
    left_out = kinds.pop(SKIPPED, 0)
    fates = Counter(_find_image_fates(records, decisions).values())
    return {
        "files": left_out + fates.total(),
        "left_out": left_out,
        "pictures": fates.total(),
        **{f"pictures_{fate}": fates[fate] for fate in ("kept", "repeated", "dropped")},
        "detected": methods["detected"],
        "whole": methods["whole"],
        "kept": sum(map(bool, splits)),
        **{name: list(splits).count(name) for name in SPLITS},
        "dropped": dict(sorted(kinds.items())),
    }


def _find_image_fates(records: Sequence[FaceRecord], decisions: Sequence[CurationDecision]) -> dict[str, str]:
    """Return "kept", "repeated" or "dropped" for each image by name (see `count_outcomes`)."""
    kinds = defaultdict(set)
    for record, decision in zip(records, decisions, strict=True):
        if decision.kind != SKIPPED:
            kinds[record.crop.image].add(decision.kind)
    return {
        image: "kept" if "" in reasons else "repeated" if reasons & REPEATED else "dropped"
        for image, reasons in kinds.items()
    }


def check_sums(counts: Mapping[str, Any], manifest: Mapping[str, Any], rows: int) -> None:
    """Raise RuntimeError unless every image and every row of the table is counted once.

    `counts` is the result of `count_outcomes`, `manifest` the content of data/manifest.json, and `rows` the number of
    rows in the table.
    """
    images = manifest["count"] + sum(file["may_be_image"] for file in manifest["left_out"])
    fates = counts["pictures_kept"] + counts["pictures_repeated"] + counts["pictures_dropped"]
    counted = counts["kept"] + sum(counts["dropped"].values()) + counts["left_out"]
    if not (counts["pictures"] == images == fates and counted == rows and counts["kept"] == _count_faces(counts)):
        raise RuntimeError(f"{images} images and {rows} faces or files do not add up to the counts {dict(counts)}")


def _count_faces(counts: Mapping[str, Any]) -> int:
    return sum(counts[split] for split in SPLITS)


def check_dropped(
    counts: Mapping[str, Any],
    records: Sequence[FaceRecord],
    decisions: Sequence[CurationDecision],
    max_dropped: float,
) -> None:
    """Print a warning if many images are dropped; raise UserError if their share exceeds `max_dropped`.

    Images that repeat others do not count, because their faces are in the data set. TooFewFacesError is
    raised if a split has fewer than MIN_FACES faces.
    """
    share = counts["pictures_dropped"] / max(1, counts["pictures"])
    if share > min(WARNED_SHARE, max_dropped):
        _report_dropped(counts, records, decisions, share, max_dropped)
    _check_split_sizes(counts)


def _report_dropped(
    counts: Mapping[str, Any],
    records: Sequence[FaceRecord],
    decisions: Sequence[CurationDecision],
    share: float,
    max_dropped: float,
) -> None:
    fates = _find_image_fates(records, decisions)
    dropped = {
        record.crop.image: decision.kind
        for record, decision in zip(records, decisions, strict=True)
        if decision.kind != SKIPPED and fates[record.crop.image] == "dropped"
    }
    kinds = Counter(dropped.values()).most_common()
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds)
    message = (
        f"{len(dropped)} of {counts['pictures']} images ({share:.0%}) are dropped ({listed}; for example "
        f"{min(name for name, kind in dropped.items() if kind == kinds[0][0])!r})"
    )
    remedy = REMEDIES.get(kinds[0][0], "replace these files")
    if share > max_dropped:
        raise UserError(f"{message}: expected at most {max_dropped:.0%}; {remedy}, or raise max_dropped")
    print(f"omokage: faces: {message}: to keep more, {remedy}", file=sys.stderr)


def _check_split_sizes(counts: Mapping[str, Any]) -> None:
    if min(counts[split] for split in SPLITS) >= MIN_FACES:
        return
    dropped = ", ".join(f"{count} {kind}" for kind, count in counts["dropped"].items())
    left_out = f"; {counts['left_out']} files are no images" if counts["left_out"] else ""
    raise TooFewFacesError(
        f"{counts['pictures']} images gave {counts['train']} training and {counts['held_out']} held-out faces "
        f"(dropped: {dropped or 'none'}{left_out}): expected at least {MIN_FACES} of each; add images, change held_out "
        "or min_side, lower the limits that drop faces, or set crop: whole if the images are face crops already"
    )


def write_counts(path: Path, headline_path: Path, counts: Mapping[str, Any]) -> None:
    """Write all counts to the JSON file `path`, and the numbers of kept and dropped faces to `headline_path`."""
    headlines = {"kept": counts["kept"], "dropped": sum(counts["dropped"].values())}
    for file, content in ((path, counts), (headline_path, headlines)):
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_decisions(path: Path, records: Sequence[FaceRecord], decisions: Sequence[CurationDecision]) -> None:
    """Write a CSV table with a row for each face, and for each file without a face.

    The size and the box (left, top, right, bottom) are in pixels of the upright image.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for record, decision in zip(records, decisions, strict=True):
            crop = record.crop
            width, height = crop.size or ("", "")
            outcome = "dropped" if decision.is_dropped else "kept"
            box = " ".join(map(str, crop.box or ()))
            rows.writerow((crop.image, crop.number or "", outcome, decision.reason, width, height, crop.method, box))
