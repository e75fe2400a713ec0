"""The table of detections: for each image the detected faces, or the reason why the image was not searched."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

COLUMNS = ("picture", "width", "height", "seen", "x", "y", "side", "likelihood", "reason")
# Values of DetectionResult.status. The kinds of UnusableImageError are further values.
WHOLE = "whole"
SEARCHED = "faces"
SKIPPED = "left out"


@dataclass(frozen=True)
class Detection:
    """A detected face: the centre and side of its square box (from brow to chin), in pixels of the upright image.

    `likelihood` is the detector's confidence, from 0 to 1.
    """

    x: float
    y: float
    side: float
    likelihood: float


@dataclass(frozen=True)
class DetectionResult:
    """The result of the detection for one image.

    `size` is the width and height of the upright image in pixels. The `status` is one of:
    - WHOLE: the image is taken as one face
    - SEARCHED: the detector searched the image; `faces` lists the detections from top to bottom
    - SKIPPED: the file is not an image
    - the kind of a SkippedFile or an UnusableImageError: the file cannot be read or decoded

    In the last two cases `reason` gives the details and `size` is None.
    """

    image: str
    size: tuple[int, int] | None
    status: str
    faces: tuple[Detection, ...] = ()
    reason: str = ""


def write_detections(path: Path, results: Iterable[DetectionResult]) -> None:
    """Write a CSV table with one row per detected face, and one row for an image without detections."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for result in results:
            width, height = result.size or ("", "")
            for face in result.faces or (None,):
                box = (face.x, face.y, face.side, face.likelihood) if face else ("", "", "", "")
                rows.writerow((result.image, width, height, result.status, *box, result.reason))


def read_detections(path: Path) -> Iterator[DetectionResult]:
    """Yield the results in a table written by `write_detections`, in the order of the table."""
    with path.open(newline="", encoding="utf-8") as file:
        for (image, status), rows in groupby(csv.DictReader(file), key=lambda row: (row["picture"], row["seen"])):
            first, *rest = rows
            faces = tuple(
                Detection(float(row["x"]), float(row["y"]), float(row["side"]), float(row["likelihood"]))
                for row in (first, *rest)
                if row["side"]
            )
            size = (int(first["width"]), int(first["height"])) if first["width"] else None
            yield DetectionResult(image, size, status, faces, first["reason"])
