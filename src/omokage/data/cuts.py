"""The faces cut out of some pictures, with all that decides on their fate, as files: how they are made and read."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from omokage.data import packed, sightings
from omokage.data.curate import Known
from omokage.data.faces import Cropper, Face
from omokage.data.signs import Signs


@dataclass(frozen=True)
class Cutter:
    """Cuts the faces out of pictures of the zip, where the table of sightings has them."""

    archive: Path
    seen: Path
    cropper: Cropper

    def __call__(self, numbers: range, path: Path) -> None:
        """Write the faces of the pictures of these numbers: pixels and signs as arrays, the rest as text."""
        known = [one for number in numbers for one in self._known(seen(self.seen)[number])]
        side = self.cropper.side
        found = [one.face.pixels for one in known if one.face.pixels is not None]
        pixels = np.stack(found) if found else np.empty((0, 3, side, side), np.uint8)
        rows = [[one.file, one.pixels, *vars(replace(one.face, pixels=None)).values()] for one in known]
        save_file({"pixels": pixels, **vars(Signs.of(pixels))}, path, {"rows": json.dumps(rows)})

    def _known(self, picture: sightings.Sighting) -> Iterator[Known]:
        content = packed.content(self.archive, picture.picture) if picture.size else b""
        file = hashlib.sha256(content).hexdigest()
        for face in self.cropper(picture, content):
            yield Known(face, file, "" if face.pixels is None else hashlib.sha256(face.pixels.tobytes()).hexdigest())


@lru_cache(maxsize=1)
def seen(path: Path) -> list[sightings.Sighting]:
    """Return the table of sightings, read once in each process."""
    return list(sightings.read(path))


def read(cuts: Sequence[Path]) -> tuple[list[Known], Signs]:
    """Return the faces, without pixels, and the signs of those that have some."""
    known, signs = [], []
    for path in cuts:
        with safe_open(path, "numpy") as file:
            for of_file, of_pixels, *face in json.loads(file.metadata()["rows"]):
                known.append(Known(Face(*face), of_file, of_pixels))
            signs.append(Signs(*map(file.get_tensor, Signs.__dataclass_fields__)))
    return known, Signs.joined(signs)


def pixels(cuts: Sequence[Path], wanted: Sequence[bool]) -> Iterator[NDArray[np.uint8]]:
    """Yield the wanted ones of all faces that have pixels: uint8 [3, side, side]."""
    chosen, start = np.array(wanted, bool), 0
    for path in cuts:
        with safe_open(path, "numpy") as file:
            faces = file.get_tensor("pixels")
        # A copy, so that a face does not hold its whole piece in memory.
        yield from faces[chosen[start : start + len(faces)]]
        start += len(faces)
