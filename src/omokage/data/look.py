"""Looking at a picture: is it a face as it is, or are there faces in it?"""

from omokage.data.decode import UnusableError, decode, upright_size
from omokage.data.detect import detect
from omokage.data.sightings import Sighting

FACE_SIDE = 256  # the longest side of a picture that `auto` takes for a face as it is, in pixels


def look(picture: str, content: bytes, crop: str) -> Sighting:
    """Look at a picture, given the bytes of its file.

    With crop `whole` every picture is a face as it is, with `auto` one that is small (no side over FACE_SIDE) and
    nearly square (sides within 10 %): data sets of faces look like that, and the detector, which needs room around a
    face, misses half of them. All else goes through the detector; with `detect` everything does.
    """
    try:
        size = upright_size(content)
        if crop == "whole" or (crop == "auto" and is_face(*size)):
            return Sighting(picture, size, "whole")
        return Sighting(picture, size, "faces", tuple(detect(decode(content))))
    except UnusableError as error:
        return Sighting(picture, None, error.kind, reason=str(error))


def is_face(width: int, height: int) -> bool:
    """Tell whether a picture of that size counts as a face under crop `auto`."""
    shorter, longer = sorted((width, height))
    return longer <= FACE_SIDE and longer <= 1.1 * shorter
