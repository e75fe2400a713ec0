"""Detect the faces in a chunk of images, and write the results as a table."""

from dataclasses import dataclass
from pathlib import Path

from omokage.data.detection import table
from omokage.data.detection.analyse import analyse_image
from omokage.data.detection.table import DetectionResult
from omokage.data.images import zip_reader
from omokage.data.images.decode import UnusableImageError


@dataclass(frozen=True)
class DetectionWriter:
    """Detects the faces in images of the zip `archive`; `crop` and `max_face_side` are those of `analyse_image`."""

    archive: Path
    crop: str
    max_face_side: int

    def __call__(self, numbers: range, path: Path) -> None:
        """Write the table of the images with these `numbers`; images are numbered from 0, sorted by name."""
        names = zip_reader.list_images(self.archive)
        table.write_detections(path, (self._detect(names[number]) for number in numbers))

    def _detect(self, name: str) -> DetectionResult:
        try:
            content = zip_reader.read_image_file(self.archive, name)
        except UnusableImageError as error:
            return DetectionResult(name, None, error.kind, reason=str(error))
        return analyse_image(name, content, self.crop, self.max_face_side)
