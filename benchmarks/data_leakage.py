"""Check for leakage between the splits: compare every held-out face with every training face.

    PYTHONPATH=src .venv/bin/python benchmarks/data_leakage.py FOLDER_OR_ZIP

Prints the counts of the curation, the pairs across the split that are near-duplicates (by hash and colours, as `faces`
decides, and by colours alone), and how many dropped near-duplicates would have been in another split than the face they
repeat. The exit code is 1 if there is a pair.
"""

import argparse
import csv
import hashlib
import json
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from common import prepare_data

from omokage.config.yaml_file import load_yaml
from omokage.data import shards
from omokage.data.curation.curate import choose_split
from omokage.data.curation.descriptors import FaceDescriptors
from omokage.data.curation.near_duplicates import MAX_HASH_DISTANCE

REASON = "near-duplicate of "  # how data/curation.csv begins the reason of a dropped near-duplicate


def main() -> None:
    """Compare the splits and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder or zip of images")
    data = prepare_data(parser.parse_args().source)
    params = load_yaml(data.parent / "params.yaml")
    tolerance = params["near_duplicates"]
    print(json.dumps(load_yaml(data.parent / "results" / "curation.json")))
    train, held_out = (
        FaceDescriptors.compute(shards.read_faces(data / "faces", split).numpy()) for split in ("train", "held_out")
    )
    colours = train.thumbnails.reshape(len(train.phash), -1).astype(np.float32)
    similar_in_both, similar_in_colours, nearest = 0, 0, []
    for phash, thumbnail in zip(held_out.phash, held_out.thumbnails, strict=True):
        differences = np.sqrt(np.square(colours - thumbnail.reshape(1, -1)).mean(1))
        bits = np.bitwise_count(train.phash ^ phash)
        similar_in_both += int(((bits <= MAX_HASH_DISTANCE) & (differences <= tolerance)).sum())
        similar_in_colours += int((differences <= tolerance).sum())
        nearest.append(differences.min())
    low, middle = np.percentile(nearest, [1, 50])
    crossing, dropped = count_crossing_pairs(data, params)
    print(f"{len(nearest)} held-out faces, {len(colours)} training faces, near_duplicates = {tolerance:g}:")
    print(f"  pairs with similar hash and colours: {similar_in_both}; with similar colours: {similar_in_colours}")
    print(f"  nearest training face by colour: {min(nearest):.1f} at least, 1 % {low:.1f}, median {middle:.1f}")
    print(f"  dropped near-duplicates that would have crossed the split: {crossing} of {dropped}")
    sys.exit(bool(similar_in_both))


def count_crossing_pairs(data: Path, params: dict[str, Any]) -> tuple[int, int]:
    """Return how many dropped near-duplicates belong to another split than the face they repeat, and their number."""
    with (data / "curation.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["reason"].startswith(REASON)]
    with ZipFile(data / "pictures.zip") as archive:

        def split(name: str) -> str:
            return choose_split(hashlib.sha256(archive.read(name)).hexdigest(), params["held_out"])

        pairs = [(row["picture"], row["reason"].removeprefix(REASON)) for row in rows]
        return sum(split(repeat) != split(original) for repeat, original in pairs), len(pairs)


if __name__ == "__main__":
    main()
