"""Pictures inside a page: each as a data URI, in whatever form shows it well and small."""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

# As an SVG a plot is sharp at any size: worth so many bytes more than its pixels.
WORTH = 30_000
QUALITY = 82


@dataclass(frozen=True)
class Picture:
    """A figure: its place beside the report, its caption, its size in pixels, its files; a plot has lines as well."""

    path: str
    caption: str
    file: Path
    lines: Path | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        with Image.open(self.file) as image:
            return image.size

    @property
    def data(self) -> str:
        """The picture as a data URI: SVG where that is hardly larger, else WebP or the file itself."""
        content, kind = self._smallest()
        if self.lines is not None:
            # A figure's own stamp would be larger than the figure; the page has one of all.
            drawn = re.sub(rb"<metadata\b.*?</metadata>\s*", b"", self.lines.read_bytes(), flags=re.DOTALL)
            if len(drawn) <= len(content) + WORTH:
                content, kind = drawn, "svg+xml"
        return data_uri(content, kind)

    def _smallest(self) -> tuple[bytes, str]:
        """Return the file, or the same as WebP: exact for plots, whose lines and letters would suffer otherwise."""
        # More effort at exact pictures takes a hundred times as long, for a few percent.
        ways = [{"lossless": True, "quality": 75, "method": 4}]
        if self.lines is None:
            ways.append({"quality": QUALITY, "method": 6})
        found = [(self.file.read_bytes(), "png")]
        with Image.open(self.file) as image:
            for way in ways:
                webp = io.BytesIO()
                image.convert("RGB").save(webp, "WEBP", **way)
                found.append((webp.getvalue(), "webp"))
        return min(found, key=lambda one: len(one[0]))


def data_uri(content: bytes, kind: str) -> str:
    """Return a picture's bytes as an address that holds them."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
