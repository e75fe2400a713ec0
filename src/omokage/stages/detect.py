"""Stage `detect`: where the faces are in each picture. No size or margin of the faces asks again."""

import json
from dataclasses import dataclass
from pathlib import Path

from omokage.data import detect, packed, sightings
from omokage.data.decode import UnusableError
from omokage.data.look import look
from omokage.data.pieces import Pieces
from omokage.data.sightings import LEFT_OUT, Sighting
from omokage.job import Job
from omokage.params.detect import Params


@dataclass(frozen=True)
class Looker:
    """Looks at some pictures of the zip and writes the table of what is seen in them."""

    archive: Path
    crop: str

    def __call__(self, numbers: range, path: Path) -> None:
        """Write the rows of the pictures of these numbers, in the order of the names."""
        names = packed.names(self.archive)
        sightings.write(path, (self._look(names[number]) for number in numbers))

    def _look(self, name: str) -> Sighting:
        try:
            return look(name, packed.content(self.archive, name), self.crop)
        except UnusableError as error:
            return Sighting(name, None, error.kind, reason=str(error))


def run(job: Job[Params]) -> None:
    """Write data/sightings.csv; raise Refused if the detector is blind."""
    pieces = _pieces(job).made(job.threads, "finding faces")
    manifest = json.loads(job.input("data/manifest.json").read_text(encoding="utf-8"))
    left_out = [Sighting(file["name"], None, LEFT_OUT, reason=file["reason"]) for file in manifest["left_out"]]
    seen = [sighting for piece in pieces for sighting in sightings.read(piece)]
    sightings.write(job.output("data/sightings.csv"), sorted([*seen, *left_out], key=lambda one: one.picture))


def part(job: Job[Params], number: int, parts: int) -> None:
    """Look at every `parts`-th batch of pictures, from the `number`-th on, in the work folder."""
    _pieces(job).made(job.threads, f"finding faces, part {number + 1} of {parts}", (number, parts))


def _pieces(job: Job[Params]) -> Pieces:
    if job.params.crop != "whole":
        detect.check()
    archive = job.input("data/pictures.zip")
    return Pieces(job.work, Looker(archive, job.params.crop), len(packed.names(archive)))
