"""Stage `detect`: find the faces in each image. Changing the size or margin of the crops does not rerun this stage."""

import json
import sys

from omokage.base.job import Job
from omokage.data.detection import detector, table
from omokage.data.detection.detection_writer import DetectionWriter
from omokage.data.detection.square_sets import SquareSet, judge_data_set
from omokage.data.detection.table import SKIPPED, DetectionResult
from omokage.data.images import zip_reader
from omokage.data.images.chunks import ChunkedWork
from omokage.params.detect import Params


def run(job: Job[Params]) -> None:
    """Write data/detections.csv, including files that `download` skipped. Raises UserError if the detector fails."""
    square_set = _judge_data_set(job)
    if square_set.enlarged:
        print(
            f"omokage: detect: {square_set.enlarged} square images of more than 256 pixels are taken as face crops, "
            "because nearly all images of the data set are square; set crop: detect to search them for faces",
            file=sys.stderr,
        )
    chunks = _chunked_detection(job, square_set).compute_all(job.threads, "detecting faces")
    results = [result for chunk in chunks for result in table.read_detections(chunk)]
    manifest = json.loads(job.input("data/manifest.json").read_text(encoding="utf-8"))
    for file in manifest["left_out"]:
        status = file["kind"] if file["may_be_image"] else SKIPPED
        results.append(DetectionResult(file["name"], None, status, reason=file["reason"]))
    table.write_detections(job.output("data/detections.csv"), sorted(results, key=lambda result: result.image))
    job.facts.update(max_face_side=square_set.max_face_side, squares_taken_whole=square_set.enlarged)


def run_part(job: Job[Params], number: int, parts: int) -> None:
    """Detect the faces in every `parts`-th chunk of images, from chunk `number` on, into the work folder."""
    work = _chunked_detection(job, _judge_data_set(job))
    work.compute_all(job.threads, f"detecting faces, part {number + 1} of {parts}", (number, parts))


def _judge_data_set(job: Job[Params]) -> SquareSet:
    return judge_data_set(job.input("data/pictures.zip")) if job.params.crop == "auto" else SquareSet()


def _chunked_detection(job: Job[Params], square_set: SquareSet) -> ChunkedWork:
    if job.params.crop != "whole":
        detector.DETECTOR.check()
    archive = job.input("data/pictures.zip")
    writer = DetectionWriter(archive, job.params.crop, square_set.max_face_side)
    return ChunkedWork(job.work, writer, len(zip_reader.list_images(archive)))
