"""Detect the faces of illustrated characters with animeface (nagadomi; Python binding by Takahashi 2013).

Source: https://github.com/nya3jp/python-animeface
"""

import animeface
from PIL import Image, ImageDraw

from omokage.base.errors import UserError
from omokage.data.detection.table import Detection

# Images are resized to a longer side within these limits, in pixels. In smaller images animeface misses more faces; in
# larger images it is slower and finds no more faces.
MIN_INPUT_SIDE, MAX_INPUT_SIDE = 192, 800
# animeface misses faces that fill most of a large image. So an image with a longer side above CLOSE_UP_SIDE and without
# a detection of likelihood CONFIDENT is resized to CLOSE_UP_SIDE and searched again.
CLOSE_UP_SIDE = 400
CONFIDENT = 0.8
MIN_SHORTER_SIDE = 16  # pixels after resizing; narrower images are not searched


def detect_faces(image: Image.Image) -> list[Detection]:
    """Return all faces that animeface finds in an RGB image, from top to bottom.

    Detections with a low likelihood are included.
    """
    input_side = min(max(*image.size, MIN_INPUT_SIDE), MAX_INPUT_SIDE)
    faces = _detect(image, input_side)
    if input_side > CLOSE_UP_SIDE and _max_likelihood(faces) < CONFIDENT:
        faces = max(faces, _detect(image, CLOSE_UP_SIDE), key=_max_likelihood)
    return sorted(faces, key=lambda face: (face.y, face.x))


def _max_likelihood(faces: list[Detection]) -> float:
    return max((face.likelihood for face in faces), default=0.0)


def _detect(image: Image.Image, input_side: int) -> list[Detection]:
    """Return the faces found after resizing the longer side of the image to `input_side`.

    The detections are in pixels of the original image.
    """
    scale = input_side / max(image.size)
    width, height = (round(side * scale) for side in image.size)
    if min(width, height) < MIN_SHORTER_SIDE:
        return []
    boxes = animeface.detect(image.resize((width, height), Image.Resampling.LANCZOS))
    return [
        Detection(
            x=round((box.face.pos.x + box.face.pos.width / 2) / scale, 2),
            y=round((box.face.pos.y + box.face.pos.height / 2) / scale, 2),
            side=round(max(box.face.pos.width, box.face.pos.height) / scale, 2),
            likelihood=round(box.likelihood, 4),
        )
        for box in boxes
    ]


def check_detector() -> None:
    """Raise UserError unless the detector finds the face in a test image.

    With Pillow 12 or newer, animeface finds no faces and raises no error, so all images would be dropped.
    """
    if [face.likelihood > 0.9 for face in detect_faces(draw_test_face())] != [True]:
        raise UserError(
            "animeface does not find the face in a test image: it needs Pillow 11; install the pinned packages "
            "(`make install`), or set crop: whole"
        )


def draw_test_face() -> Image.Image:
    """Return a simple drawing of a face, RGB, 160 x 160 pixels."""
    scale, skin, hair = 4, (253, 226, 205), (90, 60, 40)
    image = Image.new("RGB", (160 * scale, 160 * scale), "white")
    draw = ImageDraw.Draw(image)

    def ellipse(x: float, y: float, width: float, height: float, colour: tuple[int, int, int]) -> None:
        edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        draw.ellipse([edge * scale for edge in edges], fill=colour)

    def polygon(points: list[tuple[float, float]], colour: tuple[int, int, int]) -> None:
        draw.polygon([(x * scale, y * scale) for x, y in points], fill=colour)

    ellipse(80, 75, 112, 130, hair)
    ellipse(80, 75, 84, 70, skin)
    polygon([(38, 70), (122, 70), (118, 108), (98, 130), (80, 138), (62, 130), (42, 108)], skin)
    fringe = [(118, 62), (110, 72), (98, 58), (86, 70), (74, 58), (62, 72), (50, 60)]
    polygon([(30, 75), (34, 30), (80, 16), (126, 30), (130, 75), *fringe, (42, 75)], hair)
    for x in (59, 101):
        ellipse(x, 94, 24, 28, (40, 30, 40))
        ellipse(x, 95, 16, 24, (60, 90, 160))
        ellipse(x, 95, 8, 12, (20, 20, 50))
        ellipse(x - 3, 88, 6, 6, (255, 255, 255))
    polygon([(74, 121), (86, 121), (80, 125)], (170, 80, 80))
    return image.resize((160, 160), Image.Resampling.LANCZOS)
