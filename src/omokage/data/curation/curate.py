"""Decide whether to keep each face, assign the kept faces to the splits, and write the table of decisions."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omokage.base.errors import UserError
from omokage.data.curation.descriptors import FaceDescriptors
from omokage.data.curation.face_cropper import FaceCrop
from omokage.data.curation.near_duplicates import find_near_duplicates
from omokage.data.detection.table import SKIPPED
from omokage.data.shards import SPLITS

MIN_FACES = 2  # per split
DECISION_COLUMNS = ("picture", "face", "fate", "reason", "width", "height", "how", "box")


def choose_split(sha256: str, held_out: float) -> str:
    """Return "held_out" for a fraction `held_out` of all image files, else "train".

    `sha256` is the hash of the image file, in hexadecimal. Since the split depends on the content of the file alone,
    adding, removing or renaming images, or cropping them differently, does not move a face to the other split. All
    faces of one image are in the same split. Exception: if an added file has a copy of a face and a name that sorts
    earlier, the copy is kept instead of the face, and the split is that of the added file.
    """
    return "held_out" if int(sha256[:16], 16) / 2**64 < held_out else "train"


@dataclass(frozen=True)
class FaceRecord:
    """A face crop, with the sha256 of its image file and of its pixels.

    `pixels_sha256` is empty if the crop has no pixels (see FaceCrop).
    """

    crop: FaceCrop
    file_sha256: str
    pixels_sha256: str


@dataclass(frozen=True)
class QualityLimits:
    """The limits that decide which faces are kept.

    A face is dropped if its sharpness, contrast or colour (see FaceDescriptors) is below the minimum. `near_duplicates`
    is the tolerance of `find_near_duplicates`. A limit of 0 turns its filter off.
    """

    min_sharpness: float
    min_contrast: float
    min_colour: float
    near_duplicates: float


@dataclass(frozen=True)
class CurationDecision:
    """The decision to keep or drop a face.

    `kind` is the class of reasons under which a dropped face is counted, such as "blurred". `reason` gives details in
    words. Both are empty if the face is kept.
    """

    kind: str = ""
    reason: str = ""

    @property
    def is_dropped(self) -> bool:
        """Whether the face is in neither split."""
        return bool(self.kind)


def decide_curation(
    records: Sequence[FaceRecord], descriptors: FaceDescriptors, limits: QualityLimits, threads: int
) -> list[CurationDecision]:
    """Return the decision for each of `records`.

    `descriptors` has one row for each record with pixels, in the same order. Of identical faces only the first is kept.
    Of near-duplicates among the remaining faces, again only the first is kept.
    """
    decisions = [CurationDecision(record.crop.kind, record.crop.reason) for record in records]
    rows = [row for row, record in enumerate(records) if record.pixels_sha256]
    first_rows: dict[str, int] = {}
    distinct = []
    for index, row in enumerate(rows):
        decision = _check_quality(descriptors, index, limits)
        if not decision.is_dropped and (first := first_rows.setdefault(records[row].pixels_sha256, row)) != row:
            decision = CurationDecision("duplicate", f"duplicate of {records[first].crop.image}")
        decisions[row] = decision
        if not decision.is_dropped:
            distinct.append(index)
    if limits.near_duplicates:
        candidates = descriptors.select(np.array(distinct, int))
        originals = find_near_duplicates(candidates, limits.near_duplicates, threads)
        for later, earlier in originals.items():
            image = records[rows[distinct[earlier]]].crop.image
            decisions[rows[distinct[later]]] = CurationDecision("near-duplicate", f"near-duplicate of {image}")
    return decisions


def _check_quality(descriptors: FaceDescriptors, index: int, limits: QualityLimits) -> CurationDecision:
    for kind, value, limit in (
        ("blurred", descriptors.sharpness[index], limits.min_sharpness),
        ("uniform", descriptors.contrast[index], limits.min_contrast),
        ("colourless", descriptors.colour[index], limits.min_colour),
    ):
        if value < limit:
            return CurationDecision(kind, f"{kind}: {value:.1f}, expected {limit:g}")
    return CurationDecision()


def assign_splits(records: Sequence[FaceRecord], decisions: Sequence[CurationDecision], held_out: float) -> list[str]:
    """Return the split of each face, "" for a dropped face; `held_out` is the fraction of the held-out set."""
    return [
        "" if decision.is_dropped else choose_split(record.file_sha256, held_out)
        for record, decision in zip(records, decisions, strict=True)
    ]


def count_outcomes(
    records: Sequence[FaceRecord], decisions: Sequence[CurationDecision], splits: Sequence[str]
) -> dict[str, Any]:
    """Return the counts of images, of kept faces, and of dropped faces by kind, for results/curation.json.

    Kept faces are counted in total, by method ("detected" or "whole", see FaceCrop) and by split. Files that the stage
    `download` skipped are not counted as images.
    """
    methods = Counter(record.crop.method for record, split in zip(records, splits, strict=True) if split)
    return {
        "pictures": len({record.crop.image for record in records if record.crop.kind != SKIPPED}),
        "detected": methods["detected"],
        "whole": methods["whole"],
        "kept": sum(map(bool, splits)),
        **{name: list(splits).count(name) for name in SPLITS},
        "dropped": dict(sorted(Counter(decision.kind for decision in decisions if decision.is_dropped).items())),
    }


def check_counts(counts: Mapping[str, Any]) -> None:
    """Raise UserError if a split has fewer than MIN_FACES faces; `counts` is the result of `count_outcomes`."""
    if min(counts[split] for split in SPLITS) >= MIN_FACES:
        return
    dropped = ", ".join(f"{count} {kind}" for kind, count in counts["dropped"].items())
    raise UserError(
        f"{counts['pictures']} images gave {counts['train']} training and {counts['held_out']} held-out faces "
        f"(dropped: {dropped or 'none'}): expected at least {MIN_FACES} of each; add images, change held_out "
        "or min_side, lower the limits that drop faces, or set crop: whole if the images are face crops already"
    )


def write_decisions(path: Path, records: Sequence[FaceRecord], decisions: Sequence[CurationDecision]) -> None:
    """Write a CSV table with one row per face.

    The size and the box (left, top, right, bottom) are in pixels of the upright image.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(DECISION_COLUMNS)
        for record, decision in zip(records, decisions, strict=True):
            crop = record.crop
            width, height = crop.size or ("", "")
            outcome = "dropped" if decision.is_dropped else "kept"
            box = " ".join(map(str, crop.box or ()))
            rows.writerow((crop.image, crop.number or "", outcome, decision.reason, width, height, crop.method, box))
