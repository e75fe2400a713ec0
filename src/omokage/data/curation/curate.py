"""Decide for each face whether it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omokage.data.curation.descriptors import FaceDescriptors
from omokage.data.curation.face_cropper import FaceCrop
from omokage.data.curation.near_duplicates import find_near_duplicates

DUPLICATE, COPY, NEAR_DUPLICATE = "duplicate", "copy", "near-duplicate"
REPEATED = {DUPLICATE, COPY, NEAR_DUPLICATE}  # the kinds of dropped faces that repeat a kept one


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
    records: Sequence[FaceRecord],
    descriptors: FaceDescriptors,
    face_groups: NDArray[np.int64],
    sides: Sequence[str],
    limits: QualityLimits,
    threads: int,
) -> list[CurationDecision]:
    """Return the decision for each of `records`.

    `descriptors` and `face_groups`, the groups of copies, have one row for each record with pixels, in the same order.
    `sides` has the split of each record if it is kept (see `choose_sides`). Of identical faces and of copies, only the
    first one is kept. Of near-duplicates among the remaining faces, the first held-out one is kept, or the first one if
    none is held out. So no image that is added can move the likeness of a held-out face to the training set.
    """
    decisions = [CurationDecision(record.crop.kind, record.crop.reason) for record in records]
    rows = [row for row, record in enumerate(records) if record.pixels_sha256]
    first_rows: dict[int, int] = {}
    distinct = []
    for index, row in enumerate(rows):
        decision = _check_quality(descriptors, index, limits)
        if not decision.is_dropped and (first := first_rows.setdefault(int(face_groups[index]), row)) != row:
            kind = DUPLICATE if records[row].pixels_sha256 == records[first].pixels_sha256 else COPY
            decision = _drop_repeated(kind, records[first])
        decisions[row] = decision
        if not decision.is_dropped:
            distinct.append(index)
    if limits.near_duplicates:
        distinct.sort(key=lambda index: sides[rows[index]] != "held_out")  # stable
        candidates = descriptors.select(np.array(distinct, int))
        originals = find_near_duplicates(candidates, limits.near_duplicates, threads)
        for later, earlier in originals.items():
            decisions[rows[distinct[later]]] = _drop_repeated(NEAR_DUPLICATE, records[rows[distinct[earlier]]])
    return decisions


def _drop_repeated(kind: str, first: FaceRecord) -> CurationDecision:
    return CurationDecision(kind, f"{kind} of {first.crop.image}")


def _check_quality(descriptors: FaceDescriptors, index: int, limits: QualityLimits) -> CurationDecision:
    for kind, value, limit in (
        ("blurred", descriptors.sharpness[index], limits.min_sharpness),
        ("uniform", descriptors.contrast[index], limits.min_contrast),
        ("colourless", descriptors.colour[index], limits.min_colour),
    ):
        if value < limit:
            return CurationDecision(kind, f"{kind}: {value:.1f}, expected {limit:g}")
    return CurationDecision()
