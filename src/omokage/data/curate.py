"""From the faces of all pictures to two sets without doubles, and a table with the fate of each."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omokage.data.faces import Face

SPLITS = ("train", "held_out")
FATES = ("picture", "face", "fate", "reason", "width", "height", "how", "box")
INDEX = ("split", "row", "picture", "face", "sha256")


def split(sha256: str, held_out: float) -> str:
    """Return held_out for that fraction of all hashes, else train.

    It depends on the face's own pixels alone: pictures that are added, taken away or renamed move no other face.
    """
    return "held_out" if int(sha256[:16], 16) / 2**64 < held_out else "train"


class Curation:
    """Keeps each distinct face once, on disk in `folder` until closed, and counts what was dropped and why.

    `tally` holds pictures, kept (faces, train + held_out of them), detected and whole (among the kept), and dropped, by
    reason: pictures without a usable face, and single faces.
    """

    def __init__(self, folder: Path, side: int, held_out: float) -> None:
        self._shape, self._held_out = (3, side, side), held_out
        self._spools = {name: TemporaryFile(dir=folder) for name in SPLITS}  # noqa: SIM115 (__exit__ closes them)
        self._index: dict[str, list[tuple[str, int, str]]] = {split: [] for split in SPLITS}
        self._first: dict[str, str] = {}
        self._counts, self._dropped = Counter[str](), Counter[str]()

    def __enter__(self) -> "Curation":
        return self

    def __exit__(self, *_: object) -> None:
        for spool in self._spools.values():
            spool.close()

    @property
    def tally(self) -> dict[str, Any]:
        """Return the counts so far."""
        sizes = {split: len(rows) for split, rows in self._index.items()}
        names = ("pictures", "detected", "whole")
        counts = {name: self._counts[name] for name in names}
        return counts | {"kept": sum(sizes.values())} | sizes | {"dropped": dict(sorted(self._dropped.items()))}

    def sort_out(self, pictures: Iterable[list[Face]], table: Path) -> None:
        """Keep or drop the faces, picture by picture, and write the fate of each as a row of the CSV `table`.

        Of faces with equal pixels the first is kept. Widths and heights are of the upright picture, in pixels, and so
        is the box: left, top, right, bottom.
        """
        with table.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(FATES)
            for faces in pictures:
                self._counts["pictures"] += 1
                for face in faces:
                    reason = self._judge(face)
                    width, height = face.size or ("", "")
                    box = " ".join(map(str, face.box or ()))
                    fate = "dropped" if reason else "kept"
                    rows.writerow((face.picture, face.number or "", fate, reason, width, height, face.how, box))

    def faces(self, split: str) -> Iterator[NDArray[np.uint8]]:
        """Yield the kept faces of a split in order: uint8 [3, side, side]."""
        spool = self._spools[split]
        spool.seek(0)
        for _ in self._index[split]:
            pixels = np.frombuffer(bytearray(spool.read(int(np.prod(self._shape)))), np.uint8)
            yield pixels.reshape(self._shape)

    def write_index(self, path: Path) -> None:
        """Write which face of which picture stands in which row of a split's shards, with the sha256 of its pixels."""
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(INDEX)
            for name, faces in self._index.items():
                rows.writerows((name, row, *face) for row, face in enumerate(faces))

    def _judge(self, face: Face) -> str:
        if face.pixels is None:
            self._dropped[face.kind] += 1
            return face.reason
        pixels = face.pixels.tobytes()
        sha256 = hashlib.sha256(pixels).hexdigest()
        if sha256 in self._first:
            self._dropped["duplicate"] += 1
            return f"duplicate of {self._first[sha256]}"
        self._first[sha256] = face.picture
        name = split(sha256, self._held_out)
        self._spools[name].write(pixels)
        self._index[name].append((face.picture, face.number, sha256))
        self._counts[face.how] += 1
        return ""
