"""Write the training set and the held-out set: shards of faces, and a table that lists the faces in them."""

import csv
from collections.abc import Sequence
from pathlib import Path

import torch

from omokage.data import shards
from omokage.data.curation.crop_files import read_pixels
from omokage.data.curation.curate import FaceRecord
from omokage.data.shards import SPLITS

INDEX_COLUMNS = ("split", "row", "picture", "face", "sha256")


def write_face_sets(folder: Path, chunks: Sequence[Path], records: Sequence[FaceRecord], splits: Sequence[str]) -> None:
    """Write the faces of both splits and the table `index.csv` into `folder`.

    The pixels are read from the crop files `chunks`. `splits` has the split of each record, "" for a dropped face.
    """
    for name in SPLITS:
        is_selected = [split == name for record, split in zip(records, splits, strict=True) if record.pixels_sha256]
        shards.write_faces(folder, name, map(torch.from_numpy, read_pixels(chunks, is_selected)))
    _write_index(folder / "index.csv", records, splits)


def _write_index(path: Path, records: Sequence[FaceRecord], splits: Sequence[str]) -> None:
    """Write one row per face in the shards: split, position in the split, image, face number, sha256 of the pixels."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(INDEX_COLUMNS)
        for name in SPLITS:
            members = (record for record, split in zip(records, splits, strict=True) if split == name)
            for row, record in enumerate(members):
                rows.writerow((name, row, record.crop.image, record.crop.number, record.pixels_sha256))
