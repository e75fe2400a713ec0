"""From the faces of all pictures to two sets without doubles, and a table with the fate of each."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omokage.data.alike import near_duplicates
from omokage.data.faces import Face
from omokage.data.sightings import LEFT_OUT
from omokage.data.signs import Signs

SPLITS = ("train", "held_out")
FATES = ("picture", "face", "fate", "reason", "width", "height", "how", "box")
INDEX = ("split", "row", "picture", "face", "sha256")


def split(sha256: str, held_out: float) -> str:
    """Return held_out for that fraction of all hashes, else train.

    It depends on the content of the picture's file alone: no picture that is added or taken away, no name and no way of
    cropping moves a face that stays, and all faces of one picture are on one side. But a copy in other bytes whose name
    sorts earlier takes a face's place, on its own side.
    """
    return "held_out" if int(sha256[:16], 16) / 2**64 < held_out else "train"


@dataclass(frozen=True)
class Known:
    """A face of a picture with the sha256 of the picture's file and of the face's pixels ("" where it has none)."""

    face: Face
    file: str
    pixels: str


@dataclass(frozen=True)
class Limits:
    """What a face must have at least to be kept (see Signs; 0 asks for nothing), and how alike two may be."""

    sharpness: float
    contrast: float
    colour: float
    near_duplicates: float


@dataclass(frozen=True)
class Fate:
    """Why a face is dropped: the kind, which is counted, and the reason in words; both empty where it is kept."""

    kind: str = ""
    reason: str = ""


def fates(known: Sequence[Known], signs: Signs, limits: Limits, threads: int) -> list[Fate]:
    """Return the fate of each face; `signs` are those of the faces that have pixels, in their order.

    Of faces with equal pixels the first stays, and of nearly equal ones the first of those that stay.
    """
    decided = [Fate(one.face.kind, one.face.reason) for one in known]
    rows = [row for row, one in enumerate(known) if one.pixels]
    first: dict[str, int] = {}
    standing = []
    for sign, row in enumerate(rows):
        fate = _poor(signs, sign, limits)
        if not fate.kind and (double := first.setdefault(known[row].pixels, row)) != row:
            fate = Fate("duplicate", f"duplicate of {known[double].face.picture}")
        decided[row] = fate
        if not fate.kind:
            standing.append(sign)
    if limits.near_duplicates:
        repeats = near_duplicates(signs.only(np.array(standing, int)), limits.near_duplicates, threads)
        for later, earlier in repeats.items():
            name = known[rows[standing[earlier]]].face.picture
            decided[rows[standing[later]]] = Fate("near-duplicate", f"near-duplicate of {name}")
    return decided


def _poor(signs: Signs, row: int, limits: Limits) -> Fate:
    for kind, value, least in (
        ("blurred", signs.sharpness[row], limits.sharpness),
        ("uniform", signs.contrast[row], limits.contrast),
        ("colourless", signs.colour[row], limits.colour),
    ):
        if value < least:
            return Fate(kind, f"{kind}: {value:.1f}, expected {least:g}")
    return Fate()


def write_fates(path: Path, known: Sequence[Known], decided: Sequence[Fate]) -> None:
    """Write a row for each face; widths, heights and the box (left, top, right, bottom) are of the upright picture."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(FATES)
        for one, fate in zip(known, decided, strict=True):
            face = one.face
            width, height = face.size or ("", "")
            kept = "dropped" if fate.kind else "kept"
            box = " ".join(map(str, face.box or ()))
            rows.writerow((face.picture, face.number or "", kept, fate.reason, width, height, face.how, box))


def write_index(path: Path, known: Sequence[Known], sides: Sequence[str]) -> None:
    """Write which face of which picture stands in which row of a split's shards, with the sha256 of its pixels."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(INDEX)
        for name in SPLITS:
            some = (one for one, side in zip(known, sides, strict=True) if side == name)
            rows.writerows((name, row, one.face.picture, one.face.number, one.pixels) for row, one in enumerate(some))


def sides(known: Sequence[Known], decided: Sequence[Fate], held_out: float) -> list[str]:
    """Return the split of each face, "" for one that is dropped."""
    return ["" if fate.kind else split(one.file, held_out) for one, fate in zip(known, decided, strict=True)]


def tally(known: Sequence[Known], decided: Sequence[Fate], sides: Sequence[str]) -> dict[str, Any]:
    """Return the counts: pictures; faces kept, in each split, whole and detected; and dropped, by kind."""
    how = Counter(one.face.how for one, side in zip(known, sides, strict=True) if side)
    return {
        "pictures": len({one.face.picture for one in known if one.face.kind != LEFT_OUT}),
        "detected": how["detected"],
        "whole": how["whole"],
        "kept": sum(map(bool, sides)),
        **{name: list(sides).count(name) for name in SPLITS},
        "dropped": dict(sorted(Counter(fate.kind for fate in decided if fate.kind).items())),
    }
