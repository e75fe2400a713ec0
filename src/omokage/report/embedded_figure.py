"""Encode figures as data URIs for the HTML page: charts as SVG if it is small enough, others as PNG or WebP."""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

# An SVG is sharp at any size, so it may have this many bytes more than the PNG or WebP.
MAX_EXTRA_SVG_BYTES = 20_000
WEBP_QUALITY = 50


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure of the report.

    `path` is the address that the report links to, relative to the report. `file` is where the PNG or GIF is read from,
    and `svg` where the SVG of a chart is read from (None for other figures). `is_wide` lets it have the full width of
    the page. `alt` is the alternative text, which says what the figure shows.
    """

    path: str
    caption: str
    file: Path
    svg: Path | None = None
    is_wide: bool = False
    alt: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of `file` in pixels."""
        with Image.open(self.file) as image:
            return image.size

    @property
    def data_uri(self) -> str:
        """The figure as a data URI: the SVG of a chart unless it is much larger, otherwise the PNG or a WebP."""
        content, image_format = self._encode_pixels()
        if self.svg is not None:
            # Remove the SVG's stamp, which may be larger than the drawing. The page has one stamp for all figures.
            drawing = re.sub(rb"<metadata\b.*?</metadata>\s*", b"", self.svg.read_bytes(), flags=re.DOTALL)
            if len(drawing) <= len(content) + MAX_EXTRA_SVG_BYTES:
                content, image_format = drawing, "svg+xml"
        return encode_data_uri(content, image_format)

    def _encode_pixels(self) -> tuple[bytes, str]:
        """Return the smallest of several encodings of `file`, and its format: "png" or "webp".

        A chart is only encoded losslessly, to keep lines and text sharp.
        """
        # In lossless mode, a higher `method` takes a hundred times as long and saves a few percent.
        settings = [{"lossless": True, "quality": 75, "method": 4}]
        if self.svg is None:
            settings.append({"quality": WEBP_QUALITY, "method": 6})
        encodings = [(self.file.read_bytes(), "png")]
        with Image.open(self.file) as image:
            for options in settings:
                webp = io.BytesIO()
                image.convert("RGB").save(webp, "WEBP", **options)
                encodings.append((webp.getvalue(), "webp"))
        return min(encodings, key=lambda encoding: len(encoding[0]))


def encode_data_uri(content: bytes, image_format: str) -> str:
    """Return the bytes of an image as a base64 data URI."""
    return f"data:image/{image_format};base64,{base64.b64encode(content).decode('ascii')}"
