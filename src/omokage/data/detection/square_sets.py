"""Judge a data set as a whole: does it consist of square face crops?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omokage.data.detection import detector
from omokage.data.detection.analyse import FACE_SIDE, is_face_sized
from omokage.data.images import zip_reader
from omokage.data.images.decode import UnusableImageError, decode_image, read_size

# Face crops are published at up to this size. Square images above it are mostly whole illustrations.
MAX_CROP_SIDE = 512  # pixels
MAX_OTHERS = 0.05  # fraction of the images that may have another shape or size; one image always may
MIN_IMAGES = 10  # fewer images say nothing about the data set
# Illustrations may be square as well. They are recognised by their faces: 90 % of those in 113 illustrations have a
# side below 0.37 of the image's, and none in 24 face crops.
SAMPLE = 16  # images in which faces are looked for
SMALL_FACE = 0.4  # maximum side of a face, as a fraction of the image's, that shows that the image is no face crop
LIKELY = 0.95  # minimum likelihood of such a face


@dataclass(frozen=True)
class SquareSet:
    """The result of `judge_data_set`.

    `max_face_side` is the maximum longer side, in pixels, of an image that is taken as one face. `enlarged` counts the
    images that are taken as one face only because the data set consists of squares.
    """

    max_face_side: int = FACE_SIDE
    enlarged: int = 0


def judge_data_set(archive: Path) -> SquareSet:
    """Return how large an image of the zip `archive` may be to be taken as one face with `crop` = "auto".

    The limit is MAX_CROP_SIDE if at least 95 % of the images, or all but one, are square (see `is_face_sized`) and at
    most MAX_CROP_SIDE pixels wide. Otherwise it is FACE_SIDE, as it is for fewer than MIN_IMAGES images, and if half of
    a sample of the images above FACE_SIDE have a small face, as illustrations have. Images that cannot be decoded do
    not count.

    Only the headers are read, except those of the sample. The images are read in order, until too many have another
    shape or size.
    """
    names = zip_reader.list_images(archive)
    enlarged: list[str] = []
    squares = others = 0
    for name in names:
        size = _read_size(archive, name)
        if size is None:
            continue
        if is_face_sized(size, MAX_CROP_SIDE):
            squares += 1
            if not is_face_sized(size, FACE_SIDE):
                enlarged.append(name)
        else:
            others += 1
            if others > max(1, MAX_OTHERS * len(names)):
                return SquareSet()
    is_square_set = squares + others >= MIN_IMAGES and others <= max(1, MAX_OTHERS * (squares + others))
    if not is_square_set or not enlarged or _are_illustrations(archive, enlarged):
        return SquareSet()
    return SquareSet(MAX_CROP_SIDE, len(enlarged))


def _read_size(archive: Path, name: str) -> tuple[int, int] | None:
    try:
        return read_size(zip_reader.read_image_file(archive, name))
    except UnusableImageError:
        return None


def _are_illustrations(archive: Path, names: Sequence[str]) -> bool:
    """Return whether at least half of SAMPLE images, spread evenly over `names`, have a small face."""
    count = min(SAMPLE, len(names))
    return 2 * sum(_has_small_face(archive, names[index * len(names) // count]) for index in range(count)) >= count


def _has_small_face(archive: Path, name: str) -> bool:
    try:
        image = decode_image(zip_reader.read_image_file(archive, name))
    except UnusableImageError:
        return False
    faces = detector.DETECTOR.detect(image)
    return any(face.likelihood >= LIKELY and face.side <= SMALL_FACE * max(image.size) for face in faces)
