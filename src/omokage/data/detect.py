"""Faces of illustrated people, found by animeface (Takahashi 2013, https://github.com/nya3jp/python-animeface)."""

import animeface
from PIL import Image, ImageDraw

from omokage.data.sightings import Detection
from omokage.errors import Refused

# Longer side of what animeface sees, in pixels: below the first it misses more, above the last it is only slower. It
# misses faces that fill most of a large picture, so where none is CERTAIN that is tried again at the middle one.
SMALLEST, CLOSE_UP, LARGEST = 192, 400, 800
CERTAIN = 0.8
BLIND = 16  # pixels of the shorter side, as seen, in which no face can be


def detect(picture: Image.Image) -> list[Detection]:
    """Return the faces of an RGB picture, from top to bottom: all that animeface takes for one, likely or not."""
    seen = min(max(*picture.size, SMALLEST), LARGEST)
    found = _detect(picture, seen)
    if seen > CLOSE_UP and _surest(found) < CERTAIN:
        found = max(found, _detect(picture, CLOSE_UP), key=_surest)
    return sorted(found, key=lambda face: (face.y, face.x))


def _surest(faces: list[Detection]) -> float:
    return max((face.likelihood for face in faces), default=0.0)


def _detect(picture: Image.Image, seen: int) -> list[Detection]:
    scale = seen / max(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    if min(width, height) < BLIND:
        return []
    found = animeface.detect(picture.resize((width, height), Image.Resampling.LANCZOS))
    return [
        Detection(
            x=round((face.face.pos.x + face.face.pos.width / 2) / scale, 2),
            y=round((face.face.pos.y + face.face.pos.height / 2) / scale, 2),
            side=round(max(face.face.pos.width, face.face.pos.height) / scale, 2),
            likelihood=round(face.likelihood, 4),
        )
        for face in found
    ]


def check() -> None:
    """Raise Refused unless the detector finds the one face in a picture drawn here.

    Under Pillow 12 and newer animeface finds nothing and says nothing: all pictures would be dropped.
    """
    if [face.likelihood > 0.9 for face in detect(known_face())] != [True]:
        raise Refused(
            "animeface does not find the face in a picture that holds one: it needs Pillow 11, so install the pinned "
            "packages (`make install`), or set crop: whole"
        )


def known_face() -> Image.Image:
    """Return a simple drawing of a face, RGB, 160 pixels a side."""
    scale, skin, hair = 4, (253, 226, 205), (90, 60, 40)
    picture = Image.new("RGB", (160 * scale, 160 * scale), "white")
    draw = ImageDraw.Draw(picture)

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
    return picture.resize((160, 160), Image.Resampling.LANCZOS)
