"""The interface of a face detector, and the detector that the pipeline uses.

To use another detector, make three edits:

1. Write a class with the methods of `Detector`, in a module of this folder.
2. Assign an instance of it to DETECTOR.
3. Add the package that it needs to pyproject.toml, and run `make lock` and `make deps`.
"""

from typing import Protocol

from PIL import Image

from omokage.data.detection.animeface_detector import AnimefaceDetector
from omokage.data.detection.table import Detection


class Detector(Protocol):
    """Finds faces in images. For the same image, the result must always be the same."""

    def detect(self, image: Image.Image) -> list[Detection]:
        """Return the faces in an RGB image, each once, from top to bottom.

        Faces with a low likelihood are included: the stage `faces` ignores those below `crop_likelihood`.
        """

    def rate_face(self, image: Image.Image) -> float:
        """Return the likelihood, from 0 to 1, of the likeliest face in an RGB image, searched at its own size only.

        0 means that no face was found.
        """

    def check(self) -> None:
        """Raise UserError, saying what to do, if the detector does not work in this environment."""


DETECTOR: Detector = AnimefaceDetector()
