"""Does any picture lie on both sides of the split? Every held-out face against every train face, by plain comparison.

    python benchmarks/leak.py FOLDER_OR_ZIP

Prints the counts of the curation, the pairs across the split that are alike (by hash and colours as `faces` asks, and
by colours alone), and how many of the dropped near-duplicates would have lain on the other side than what they repeat.
Exits with 1 if a pair is found.
"""

import argparse
import csv
import hashlib
import json
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from bench import faces_of

from omokage.data import shards
from omokage.data.alike import BITS
from omokage.data.curate import split
from omokage.data.signs import Signs
from omokage.params import whole


def main() -> None:
    """Count, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    data = faces_of(parser.parse_args().source)
    values = whole.load(data.parent / "params.yaml")
    tolerance = values["near_duplicates"]
    print(json.dumps(whole.load(data.parent / "results" / "faces.json")["faces"]))
    train, held_out = (Signs.of(shards.read(data / "faces", side).numpy()) for side in ("train", "held_out"))
    colours = train.thumbnails.reshape(len(train.phash), -1).astype(np.float32)
    alike, close, nearest = 0, 0, []
    for phash, thumbnail in zip(held_out.phash, held_out.thumbnails, strict=True):
        apart = np.sqrt(np.square(colours - thumbnail.reshape(1, -1)).mean(1))
        bits = np.bitwise_count(train.phash ^ phash)
        alike += int(((bits <= BITS) & (apart <= tolerance)).sum())
        close += int((apart <= tolerance).sum())
        nearest.append(apart.min())
    low, middle = np.percentile(nearest, [1, 50])
    print(f"{len(nearest)} held-out against {len(colours)} train faces, tolerance {tolerance:g}:")
    print(f"  alike in hash and colours: {alike}; in colours alone: {close}")
    print(f"  colours of the nearest train face: {min(nearest):.1f} at least, 1 % {low:.1f}, median {middle:.1f}")
    print(f"  near-duplicates that would have lain across the split: {' of '.join(map(str, across(data, values)))}")
    sys.exit(bool(alike))


def across(data: Path, values: dict[str, float]) -> tuple[int, int]:
    """Return how many near-duplicates that were dropped are on another side than what they repeat, and of how many."""
    with (data / "curation.csv").open(encoding="utf-8", newline="") as table:
        repeats = [row for row in csv.DictReader(table) if row["reason"].startswith("near-duplicate of ")]
    with ZipFile(data / "pictures.zip") as archive:

        def side(name: str) -> str:
            return split(hashlib.sha256(archive.read(name)).hexdigest(), values["held_out"])

        pairs = [(row["picture"], row["reason"].removeprefix("near-duplicate of ")) for row in repeats]
        return sum(side(one) != side(other) for one, other in pairs), len(pairs)


if __name__ == "__main__":
    main()
