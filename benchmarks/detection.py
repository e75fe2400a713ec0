"""Measure the precision and recall of the face detector on pictures whose faces were marked by eye.

    PYTHONPATH=src .venv/bin/python benchmarks/detection.py FOLDER FACES.csv

FACES.csv has the columns kind, picture, x, y and side. A row marks one face: its centre and the side of its box from
brow to chin, in pixels. A picture without faces has one row without a box. `kind` groups the pictures, for example into
ordinary and hard ones.

A detection is right if it has a likelihood of at least `crop_likelihood`, its centre lies in the box of a face that no
likelier detection has taken, and its side differs from that of the box by a factor of at most 2. Appends a row for each
kind to benchmarks/results/detection.csv. The rows have counts and times, but no names of pictures.
"""

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from common import append_row

from omokage.config.params_file import default_params
from omokage.data.detection.detector import DETECTOR
from omokage.data.detection.table import Detection
from omokage.data.images.decode import decode_image

Box = tuple[float, float, float]  # x and y of the centre, and the side
MAX_SIDE_RATIO = 2


@dataclass
class Counts:
    """The counts of one kind of pictures, and the CPU seconds that each picture took."""

    faces: int = 0
    right: int = 0
    wrong: int = 0
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Run the detector on every picture, print the mistakes, and append the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the pictures")
    parser.add_argument("faces", type=Path, help="CSV file of the faces marked by eye")
    arguments = parser.parse_args()
    min_likelihood = default_params()["crop_likelihood"]
    results: dict[str, Counts] = defaultdict(Counts)
    for kind, name, boxes in read_faces(arguments.faces):
        image = decode_image((arguments.folder / name).read_bytes())
        start = time.process_time()
        found = [face for face in DETECTOR.detect(image) if face.likelihood >= min_likelihood]
        counts = results[kind]
        counts.seconds.append(time.process_time() - start)
        right = count_right(found, boxes)
        counts.faces += len(boxes)
        counts.right += right
        counts.wrong += len(found) - right
        if right < max(len(boxes), len(found)):
            print(f"{name}: {len(boxes)} faces, {right} found, {len(found) - right} wrong", flush=True)
    for kind, counts in results.items():
        row = summarise(kind, counts, min_likelihood)
        print(row)
        append_row("detection", row)


def read_faces(path: Path) -> Iterator[tuple[str, str, list[Box]]]:
    """Yield the kind, the name and the boxes of the faces of each picture."""
    pictures: dict[tuple[str, str], list[Box]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            boxes = pictures.setdefault((row["kind"], row["picture"]), [])
            if row["side"]:
                boxes.append((float(row["x"]), float(row["y"]), float(row["side"])))
    for (kind, name), boxes in pictures.items():
        yield kind, name, boxes


def count_right(found: Sequence[Detection], boxes: Sequence[Box]) -> int:
    """Return how many of the detections are right; a face is counted once."""
    remaining = list(boxes)
    for face in sorted(found, key=lambda face: -face.likelihood):
        matches = [box for box in remaining if is_match(face, box)]
        if matches:
            remaining.remove(min(matches, key=lambda box: abs(face.x - box[0]) + abs(face.y - box[1])))
    return len(boxes) - len(remaining)


def is_match(face: Detection, box: Box) -> bool:
    """Return whether the detection lies on the face with this box, and has about its size."""
    x, y, side = box
    is_inside = max(abs(face.x - x), abs(face.y - y)) <= side / 2
    return is_inside and 1 / MAX_SIDE_RATIO <= face.side / side <= MAX_SIDE_RATIO


def summarise(kind: str, counts: Counts, min_likelihood: float) -> dict[str, str | int | float]:
    """Return the row of one kind of pictures, with precision and recall in per cent."""
    found = counts.right + counts.wrong
    return {
        "detector": type(DETECTOR).__name__,
        "min_likelihood": min_likelihood,
        "kind": kind,
        "pictures": len(counts.seconds),
        "faces": counts.faces,
        "found": counts.right,
        "missed": counts.faces - counts.right,
        "wrong": counts.wrong,
        "precision": round(100 * counts.right / found, 1) if counts.faces and found else "",
        "recall": round(100 * counts.right / counts.faces, 1) if counts.faces else "",
        "median_cpu_seconds": round(median(counts.seconds), 2),
        "max_cpu_seconds": round(max(counts.seconds), 2),
    }


if __name__ == "__main__":
    main()
