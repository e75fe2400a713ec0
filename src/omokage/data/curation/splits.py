"""Assign faces to the training set and the held-out set, so that no copy of a held-out image is trained on."""

from collections.abc import Sequence

from omokage.data.curation.curate import CurationDecision, FaceRecord


def choose_split(sha256: str, held_out: float) -> str:
    """Return "held_out" for a fraction `held_out` of all hashes, else "train". `sha256` is a hash in hexadecimal."""
    return "held_out" if int(sha256[:16], 16) / 2**64 < held_out else "train"


def choose_sides(records: Sequence[FaceRecord], groups: Sequence[int], held_out: float) -> list[str]:
    """Return the split that each face has if it is kept. All faces of a group share a split (see `group_images`).

    The smallest hash of the group's image files decides. So a group is held out exactly if one of its files would be
    held out alone. For one file per group, `held_out` is the expected fraction of the held-out set; larger groups are
    held out more often.

    The split depends on the files' contents alone. Adding images never moves a held-out image to the training set. It
    moves a training image only if its group gains an image that is held out. No rule without a memory of earlier runs
    moves less: if a new image is a copy of a training image and of a held-out one, one of them has to move.
    """
    smallest: dict[int, str] = {}
    for record, group in zip(records, groups, strict=True):
        if record.pixels_sha256:
            smallest[group] = min(record.file_sha256, smallest.get(group, record.file_sha256))
    return [choose_split(smallest[group], held_out) if group in smallest else "" for group in groups]


def assign_splits(sides: Sequence[str], decisions: Sequence[CurationDecision]) -> list[str]:
    """Return the split of each face, "" for a dropped face. `sides` is the result of `choose_sides`."""
    return ["" if decision.is_dropped else side for side, decision in zip(sides, decisions, strict=True)]
