"""What is seen in each picture: that it is a face, the faces in it, or why it cannot be used. And the table of that."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

LEFT_OUT = "left out"  # seen: no picture at all, as the source says
COLUMNS = ("picture", "width", "height", "seen", "x", "y", "side", "likelihood", "reason")


@dataclass(frozen=True)
class Detection:
    """A face: centre and side of its square box (brow to chin), in pixels of the picture, and how likely it is one."""

    x: float
    y: float
    side: float
    likelihood: float


@dataclass(frozen=True)
class Sighting:
    """What was seen in a picture of `size` (upright width and height, in pixels).

    `seen` is "whole" where the picture is a face as it is, "faces" where it was searched for `faces`, from top to
    bottom, else the kind of fault, with the `reason`.
    """

    picture: str
    size: tuple[int, int] | None
    seen: str
    faces: tuple[Detection, ...] = ()
    reason: str = ""


def write(path: Path, sightings: Iterable[Sighting]) -> None:
    """Write a table with one row a face, or one for the picture where no single face is listed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for seen in sightings:
            width, height = seen.size or ("", "")
            for face in seen.faces or (None,):
                box = (face.x, face.y, face.side, face.likelihood) if face else ("", "", "", "")
                rows.writerow((seen.picture, width, height, seen.seen, *box, seen.reason))


def read(path: Path) -> Iterator[Sighting]:
    """Yield what `write` wrote, in its order."""
    with path.open(newline="", encoding="utf-8") as file:
        for (picture, seen), rows in groupby(csv.DictReader(file), key=lambda row: (row["picture"], row["seen"])):
            first, *others = rows
            faces = tuple(
                Detection(float(row["x"]), float(row["y"]), float(row["side"]), float(row["likelihood"]))
                for row in (first, *others)
                if row["side"]
            )
            size = (int(first["width"]), int(first["height"])) if first["width"] else None
            yield Sighting(picture, size, seen, faces, first["reason"])
