"""Draw a simple face, to check that a detector works."""

from PIL import Image, ImageDraw


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
