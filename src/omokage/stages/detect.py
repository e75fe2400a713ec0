"""Stage `detect`: find the faces in each image. Changing the size or margin of the crops does not rerun this stage."""

import json
from dataclasses import dataclass
from pathlib import Path

from omokage.base.job import Job
from omokage.data.detection import detector, table
from omokage.data.detection.analyse import analyse_image
from omokage.data.detection.table import SKIPPED, DetectionResult
from omokage.data.images import zip_reader
from omokage.data.images.chunks import ChunkedWork
from omokage.data.images.decode import UnusableImageError
from omokage.params.detect import Params


@dataclass(frozen=True)
class DetectionWriter:
    """Detects the faces in images of the zip `archive`, and writes the results as a table."""

    archive: Path
    crop: str

    def __call__(self, numbers: range, path: Path) -> None:
        """Write the table of the images with these `numbers`; images are numbered from 0, sorted by name."""
        names = zip_reader.list_images(self.archive)
        table.write_detections(path, (self._detect(names[number]) for number in numbers))

    def _detect(self, name: str) -> DetectionResult:
        try:
            return analyse_image(name, zip_reader.read_image_file(self.archive, name), self.crop)
        except UnusableImageError as error:
            return DetectionResult(name, None, error.kind, reason=str(error))


def run(job: Job[Params]) -> None:
    """Write data/detections.csv, including files that `download` skipped. Raises UserError if the detector fails."""
    chunks = _chunked_detection(job).compute_all(job.threads, "detecting faces")
    results = [result for chunk in chunks for result in table.read_detections(chunk)]
    manifest = json.loads(job.input("data/manifest.json").read_text(encoding="utf-8"))
    results += [DetectionResult(file["name"], None, SKIPPED, reason=file["reason"]) for file in manifest["left_out"]]
    table.write_detections(job.output("data/detections.csv"), sorted(results, key=lambda result: result.image))


def run_part(job: Job[Params], number: int, parts: int) -> None:
    """Detect the faces in every `parts`-th chunk of images, from chunk `number` on, into the work folder."""
    _chunked_detection(job).compute_all(job.threads, f"detecting faces, part {number + 1} of {parts}", (number, parts))


def _chunked_detection(job: Job[Params]) -> ChunkedWork:
    if job.params.crop != "whole":
        detector.check_detector()
    archive = job.input("data/pictures.zip")
    return ChunkedWork(job.work, DetectionWriter(archive, job.params.crop), len(zip_reader.list_images(archive)))
