"""Detect the faces of illustrated characters with animeface (nagadomi; Python binding by Takahashi 2013).

Source: https://github.com/nya3jp/python-animeface

animeface knows upright faces in the style of television anime, seen from the front or half from the side. It misses
profiles, most faces on manga pages, and most faces in semi-realistic paintings.

It finds faces only within a range of sizes in pixels. So each image is searched at several sizes, and the results are
combined. The constants below were chosen on illustrations with faces marked by eye (benchmarks/detection.py).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import animeface
from PIL import Image

from omokage.base.errors import UserError
from omokage.data.detection.drawn_face import draw_test_face
from omokage.data.detection.overlap import suppress_overlaps
from omokage.data.detection.table import Detection


@dataclass(frozen=True)
class View:
    """How an image is shown to animeface: its longer side in pixels, and by how many degrees it is turned."""

    side: int
    angle: int = 0


# A small side finds faces that fill the image, a large side finds small faces. Every image is searched in these views.
# The boxes of the first view are the most exact.
VIEWS = (View(800), View(400), View(200))
# Searched as well if no detection is certain. Mirrored views, and turned views of another size, find no further faces.
TURNED_VIEWS = (View(800, 15), View(800, -15))
# Searched as well if faces may be too small for VIEWS. It takes about twice as long as all of them together.
LARGE_VIEW = View(1600)
# Minimum likelihood of a certain detection. Clothes and hands are often taken for faces at 0.8 to 0.998, while nearly
# all faces are at 0.999 or more.
CERTAIN = 0.999
# Groups: at least GROUP_FACES faces, the smallest below SMALL_FACE pixels in an image resized to VIEWS[0].
GROUP_FACES, SMALL_FACE = 2, 100
MAX_OVERLAP = 0.5  # of two boxes on the same face (see measure_overlap)
MIN_SHORTER_SIDE = 16  # pixels after resizing; narrower images are not searched


class AnimefaceDetector:
    """The detector `animeface` (see Detector)."""

    def detect(self, image: Image.Image) -> list[Detection]:
        """Return the faces in an RGB image, from top to bottom.

        These are all certain detections. If there are none, it is the likeliest detection in VIEWS.
        """
        longer_side, likely = max(image.size), _search(image, VIEWS)
        certain = _select_certain(likely)
        if not certain:
            certain = _select_certain(_search(image, TURNED_VIEWS))
        if longer_side > VIEWS[0].side and (not certain or _is_group(certain, longer_side)):
            certain = suppress_overlaps([*certain, *_select_certain(_search(image, [LARGE_VIEW]))], MAX_OVERLAP)
        return sorted(certain or likely[:1], key=lambda face: (face.y, face.x))

    def rate_face(self, image: Image.Image) -> float:
        """Return the likelihood, from 0 to 1, of the likeliest face in an RGB image, or 0 if there is none.

        The image is searched upright at its own size only. This takes about 8 ms for 144 pixels.
        """
        return max((face.likelihood for face in _detect(image, View(max(image.size)))), default=0.0)

    def check(self) -> None:
        """Raise UserError unless the face in a drawing is found.

        With Pillow 12 or newer, animeface finds no faces and raises no error, so all images would be dropped.
        """
        if [face.likelihood >= CERTAIN for face in self.detect(draw_test_face())] != [True]:
            raise UserError(
                "animeface does not find the face in a test image: it needs Pillow 11; install the pinned packages "
                "(`make install`), or set crop: whole"
            )


def _select_certain(faces: list[Detection]) -> list[Detection]:
    return [face for face in faces if face.likelihood >= CERTAIN]


def _is_group(faces: list[Detection], longer_side: int) -> bool:
    """Return whether several faces were found and one is small, so that still smaller ones are to be expected."""
    return len(faces) >= GROUP_FACES and min(face.side for face in faces) * VIEWS[0].side < SMALL_FACE * longer_side


def _search(image: Image.Image, views: Iterable[View]) -> list[Detection]:
    """Return the faces found in any of the views, each once, in pixels of the image, likeliest first."""
    return suppress_overlaps([face for view in views for face in _detect(image, view)], MAX_OVERLAP)


def _detect(image: Image.Image, view: View) -> list[Detection]:
    """Return the faces found in one view, in pixels of the image."""
    scale = view.side / max(image.size)
    width, height = (round(side * scale) for side in image.size)
    if min(width, height) < MIN_SHORTER_SIDE:
        return []
    shown = image.resize((width, height), Image.Resampling.LANCZOS)
    if view.angle:
        shown = shown.rotate(view.angle, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    sine, cosine = math.sin(math.radians(view.angle)), math.cos(math.radians(view.angle))
    faces = []
    for found in animeface.detect(shown):
        box = found.face.pos
        # The position relative to the centre of the image, which is also the centre of the turned image.
        x, y = box.x + (box.width - shown.width) / 2, box.y + (box.height - shown.height) / 2
        faces.append(
            Detection(
                x=round((width / 2 + x * cosine - y * sine) / scale, 2),
                y=round((height / 2 + x * sine + y * cosine) / scale, 2),
                side=round(max(box.width, box.height) / scale, 2),
                likelihood=round(found.likelihood, 4),
            )
        )
    return faces
