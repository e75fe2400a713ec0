"""Crop the faces of an image to squares and resize them; give the reason for each face that is dropped."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.data.detection.table import WHOLE, Detection, DetectionResult
from omokage.data.images.decode import UnusableImageError, decode_image

HAIR = 0.1  # crops are moved up by this fraction of the face's side, because hair extends above the face
SURPLUS = "surplus"  # the kind of the faces beyond `max_faces`
PREVIEW_SIDE = 32  # pixels of a preview, the form in which the search for copies compares pictures

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class FaceCrop:
    """The crop of one face of an image, or the reason why a face or an image is dropped.

    `number` counts the detections of the image from 1; it is 0 if the whole image is dropped. `size` is width and
    height of the upright image, and `box` is left, top, right and bottom in it, all in pixels. `method` is "whole" if
    the image is taken as one face, "detected" if the detector found the face, and empty if the image has no face.
    `pixels`, uint8 [3, side, side], is None if the face is dropped. `kind` and `reason` then say why (see
    CurationDecision). The previews, uint8 [PREVIEW_SIDE, PREVIEW_SIDE, 3], are for the search for copies: `preview`
    shows the crop and is there if `pixels` is; `image_preview` shows the whole image and is there for the first face
    with pixels in an image that has detected faces.
    """

    image: str
    number: int
    size: tuple[int, int] | None = None
    method: str = ""
    box: Box | None = None
    pixels: NDArray[np.uint8] | None = None
    kind: str = ""
    reason: str = ""
    preview: NDArray[np.uint8] | None = None
    image_preview: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class FaceCropper:
    """Crops the faces of an image and resizes them to `side` x `side` pixels.

    An image taken as one face is cropped to its central square. From other images at most `max_faces` detections of at
    least `min_likelihood` are cropped; the others are dropped. The most likely ones are chosen, and of those that are
    equally likely when rounded to 0.01, the largest. `margin` is the margin on each side of the face, as a fraction of
    the side of the detection. Crops with a side of less than `min_side` pixels in the image are dropped.
    """

    side: int
    margin: float
    min_likelihood: float
    max_faces: int
    min_side: int

    def __call__(self, result: DetectionResult, content: bytes) -> list[FaceCrop]:
        """Return at least one FaceCrop for an image; a dropped face or image has a FaceCrop with the reason.

        `result` is the detection result for the image, and `content` are the bytes of the image file.
        """
        if result.size is None:
            return [FaceCrop(result.image, 0, kind=result.status, reason=result.reason)]
        boxes, surplus = self.compute_boxes(result)
        if not boxes and min(result.size) < self.min_side:
            return [self._drop_small(result, 0, "", None, min(result.size))]
        if not boxes:
            reason = self._explain_no_face(result)
            return [FaceCrop(result.image, 0, result.size, kind="no face found", reason=reason)]
        return self._crop_boxes(result, boxes, content) + [
            FaceCrop(result.image, number, result.size, "detected", box, kind=SURPLUS, reason=self._explain_surplus())
            for number, box in surplus.items()
        ]

    def compute_boxes(self, result: DetectionResult) -> tuple[dict[int, Box], dict[int, Box]]:
        """Return the boxes of the faces to crop, and of those beyond `max_faces`.

        The keys are the numbers of the detections, from 1.
        """
        assert result.size is not None
        if result.status == WHOLE:
            return {1: centre_square(*result.size)}, {}
        likely = [
            (number, face) for number, face in enumerate(result.faces, 1) if face.likelihood >= self.min_likelihood
        ]
        likely.sort(key=lambda entry: (round(entry[1].likelihood, 2), entry[1].side), reverse=True)
        chosen, surplus = (
            {number: face_square(face, self.margin, *result.size) for number, face in sorted(faces)}
            for faces in (likely[: self.max_faces], likely[self.max_faces :])
        )
        return chosen, surplus

    def _crop_boxes(self, result: DetectionResult, boxes: dict[int, Box], content: bytes) -> list[FaceCrop]:
        method = "whole" if result.status == WHOLE else "detected"
        if all(self._is_small(box) for box in boxes.values()):  # the image need not be decoded
            return [self._drop_small(result, number, method, box, box[2] - box[0]) for number, box in boxes.items()]
        try:
            image = decode_image(content)
        except UnusableImageError as error:
            return [
                FaceCrop(result.image, number, result.size, method, box, kind=error.kind, reason=str(error))
                for number, box in boxes.items()
            ]
        crops = [self._crop(result, number, method, box, image) for number, box in boxes.items()]
        if method == "detected":
            first = next(index for index, crop in enumerate(crops) if crop.pixels is not None)
            crops[first] = replace(crops[first], image_preview=make_preview(image))
        return crops

    def _explain_surplus(self) -> str:
        return f"{SURPLUS}: not among the {self.max_faces} likeliest faces of the image"

    def _explain_no_face(self, result: DetectionResult) -> str:
        best = max((face.likelihood for face in result.faces), default=None)
        return "no face found" + ("" if best is None else f": the likeliest has {best:.2f} of {self.min_likelihood}")

    def _is_small(self, box: Box) -> bool:
        return box[2] - box[0] < self.min_side

    def _drop_small(self, result: DetectionResult, number: int, method: str, box: Box | None, side: int) -> FaceCrop:
        reason = f"too small: {side} pixels, expected {self.min_side}"
        return FaceCrop(result.image, number, result.size, method, box, kind="too small", reason=reason)

    def _crop(self, result: DetectionResult, number: int, method: str, box: Box, image: Image.Image) -> FaceCrop:
        if self._is_small(box):
            return self._drop_small(result, number, method, box, box[2] - box[0])
        # With `box`, Pillow scales the Lanczos kernel for antialiasing and uses no pixel outside the box.
        small = image.resize((self.side, self.side), Image.Resampling.LANCZOS, box=box)
        pixels = np.asarray(small).transpose(2, 0, 1).copy()
        return FaceCrop(result.image, number, result.size, method, box, pixels, preview=make_preview(image, box))


def make_preview(image: Image.Image, box: Box | None = None) -> NDArray[np.uint8]:
    """Return an RGB image, or a box in it, as a preview: uint8 [PREVIEW_SIDE, PREVIEW_SIDE, 3].

    An image that is not square is squeezed, so that none of it is missing.
    """
    return np.asarray(image.resize((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BOX, box=box))


def centre_square(width: int, height: int) -> Box:
    """Return the largest square in the centre of an image, as a box."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def face_square(face: Detection, margin: float, width: int, height: int) -> Box:
    """Return the box to crop around a detected face.

    The square with the margin is moved up by HAIR, then moved or shrunk to lie inside the image.
    """
    side = min(max(1, round(face.side * (1 + 2 * margin))), width, height)
    left = min(max(round(face.x - side / 2), 0), width - side)
    top = min(max(round(face.y - HAIR * face.side - side / 2), 0), height - side)
    return left, top, left + side, top + side
