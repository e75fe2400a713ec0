"""Crop the face of a user's own image as the pipeline crops its data set."""

from omokage.data.curation.face_cropper import FaceCrop, FaceCropper
from omokage.data.detection.analyse import analyse_image

MIN_SIDE = 16  # pixels of a face; the pipeline's own limit is higher, because it trains on the faces


def crop_likeliest_face(
    name: str, content: bytes, side: int, crop: str, margin: float, min_likelihood: float
) -> FaceCrop:
    """Return the likeliest face in the bytes of an untrusted image file, as `side` x `side` pixels.

    `crop` is auto, detect or whole. `name` is only a label. If the file is not an image, or has no face, the result has
    no pixels but the reason. `margin` and `min_likelihood` are those of FaceCropper.
    """
    cropper = FaceCropper(side, margin, min_likelihood, max_faces=1, min_side=MIN_SIDE)
    return cropper(analyse_image(name, content, crop), content)[0]
