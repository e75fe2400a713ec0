"""Analyse one image: detect the faces in it, or take the whole image as one face."""

from omokage.data.detection import detector
from omokage.data.detection.table import SEARCHED, WHOLE, DetectionResult
from omokage.data.images.decode import UnusableImageError, decode_image, read_upright_size

FACE_SIDE = 256  # maximum longer side, in pixels, of a face-sized image


def analyse_image(name: str, content: bytes, crop: str, max_face_side: int = FACE_SIDE) -> DetectionResult:
    """Return the detection result for the image file `name` with the bytes `content`.

    With `crop` = "whole" every image is taken as one face, and with "detect" the detector searches every image. With
    "auto" the detector searches all but face-sized images (see `is_face_sized`), which are taken as one face. Data sets
    of face crops consist of such images. The detector would miss half of the faces in them, because it needs a margin
    around a face.

    For a file that cannot be decoded, the result has the reason, and no exception is raised.
    """
    try:
        size = read_upright_size(content)
        if crop == "whole" or (crop == "auto" and is_face_sized(size, max_face_side)):
            return DetectionResult(name, size, WHOLE)
        return DetectionResult(name, size, SEARCHED, tuple(detector.DETECTOR.detect(decode_image(content))))
    except UnusableImageError as error:
        return DetectionResult(name, None, error.kind, reason=str(error))


def is_face_sized(size: tuple[int, int], max_side: int) -> bool:
    """Return whether an image of this width and height is taken as one face with `crop` = "auto".

    The longer side must be at most `max_side` pixels, and at most 10 % longer than the shorter side.
    """
    shorter, longer = sorted(size)
    return longer <= max_side and longer <= 1.1 * shorter
