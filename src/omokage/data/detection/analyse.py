"""Analyse one image: detect the faces in it, or take the whole image as one face."""

from omokage.data.detection.detector import detect_faces
from omokage.data.detection.table import SEARCHED, WHOLE, DetectionResult
from omokage.data.images.decode import UnusableImageError, decode_image, read_upright_size

FACE_SIDE = 256  # maximum longer side, in pixels, of a face-sized image


def analyse_image(name: str, content: bytes, crop: str) -> DetectionResult:
    """Return the detection result for the image file `name` with the bytes `content`.

    With `crop` = "whole" every image is taken as one face, and with "detect" the detector searches every image. With
    "auto" the detector searches all but face-sized images (see `is_face_sized`), which are taken as one face. Data sets
    of face crops consist of such images. The detector would miss half of the faces in them, because it needs a margin
    around a face.

    For a file that cannot be decoded, the result has the reason, and no exception is raised.
    """
    try:
        size = read_upright_size(content)
        if crop == "whole" or (crop == "auto" and is_face_sized(*size)):
            return DetectionResult(name, size, WHOLE)
        return DetectionResult(name, size, SEARCHED, tuple(detect_faces(decode_image(content))))
    except UnusableImageError as error:
        return DetectionResult(name, None, error.kind, reason=str(error))


def is_face_sized(width: int, height: int) -> bool:
    """Return whether an image of this size is taken as one face with `crop` = "auto".

    The longer side must be at most FACE_SIDE pixels, and at most 10 % longer than the shorter side.
    """
    shorter, longer = sorted((width, height))
    return longer <= FACE_SIDE and longer <= 1.1 * shorter
