"""Write stamps into figures and reports, and read them back.

A stamp is JSON that identifies the runs behind a file: content hashes, parameters and versions. It has no date, no git
revision and no local path, so the same run writes the same bytes. The stamp of a figure also has the hash of its
pixels, which reveals edits.
"""

import base64
import hashlib
import io
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

from omokage.base.errors import UserError
from omokage.base.files import hash_bytes

KEY = "omokage"
# The stamp of an SVG is compressed, because it would otherwise be larger than the drawing.
SVG_METADATA = re.compile(rf'<metadata id="{KEY}">([A-Za-z0-9+/=]*)</metadata>\n')
Stamp = dict[str, Any]


def render_stamp(stamp: Mapping[str, Any]) -> str:
    """Return the stamp as compact ASCII JSON with sorted keys, safe inside an HTML script and an HTML comment."""
    text = json.dumps(stamp, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")


def save_png(image: Image.Image, path: Path | IO[bytes], stamp: Mapping[str, Any]) -> None:
    """Write a PNG with a stamp. It is a palette image if this changes no pixel."""
    info = PngInfo()
    info.add_itxt(KEY, render_stamp({**stamp, "pixels": _hash_frames(image)}), zip=True)
    colours = image.getcolors(256)
    small = image.quantize(len(colours), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) if colours else image
    is_exact = small.convert("RGB").tobytes() == image.tobytes()
    (small if is_exact else image).save(path, "PNG", optimize=True, pnginfo=info)


def save_gif(frames: Sequence[Image.Image], milliseconds: Sequence[int], path: Path, stamp: Mapping[str, Any]) -> None:
    """Write a GIF with a stamp, which loops forever.

    `frames` are palette images, and `milliseconds` the duration of each.
    """

    def write(target: Path | io.BytesIO, comment: str) -> None:
        frames[0].save(
            target,
            "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=list(milliseconds),
            loop=0,
            optimize=False,
            comment=comment.encode("ascii"),
        )

    # Pillow merges equal frames when it writes a GIF, so the pixel hash is computed from a written file.
    unstamped = io.BytesIO()
    write(unstamped, "")
    with Image.open(unstamped) as image:
        pixels = _hash_frames(image)
    write(path, render_stamp({**stamp, "pixels": pixels}))


def save_svg(svg: str, path: Path, stamp: Mapping[str, Any]) -> None:
    """Write an SVG with a stamp, in a `metadata` element before the drawing."""
    text = render_stamp({**stamp, "pixels": hash_bytes(svg.encode())})
    packed = base64.b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")
    head, tag, drawing = svg.partition("<svg")
    opening, end, drawing = drawing.partition(">\n")
    path.write_text(f'{head}{tag}{opening}{end}<metadata id="{KEY}">{packed}</metadata>\n{drawing}', encoding="utf-8")


def read_stamp(path: Path) -> Stamp:
    """Return the stamp of a PNG, GIF, SVG, HTML or Markdown file. Raises UserError if the file has no stamp."""
    try:
        return dict(json.loads(_read_stamp_text(path)))
    except (KeyError, ValueError, OSError, zlib.error) as error:
        raise UserError(f"{path.name} has no Omokage metadata: expected a figure or report of the pipeline") from error


def hash_pixels(path: Path) -> str:
    """Return the sha256 of the decoded RGB pixels of all frames of an image. It does not depend on metadata.

    For an SVG, which has no pixels, this is the sha256 of the text without the stamp.
    """
    if path.suffix == ".svg":
        return hash_bytes(SVG_METADATA.sub("", path.read_text(encoding="utf-8")).encode())
    with Image.open(path) as image:
        return _hash_frames(image)


def _read_stamp_text(path: Path) -> str:
    if path.suffix == ".svg":
        (packed,) = SVG_METADATA.findall(path.read_text(encoding="utf-8"))
        return zlib.decompress(base64.b64decode(packed)).decode("ascii")
    if path.suffix in (".html", ".md"):
        stamps: list[str] = re.findall(rf'(?:id="{KEY}">|<!-- {KEY} )(\{{.*\}})', path.read_text(encoding="utf-8"))
        return stamps[-1] if stamps else ""
    with Image.open(path) as image:
        image.load()
        text = image.info["comment" if image.format == "GIF" else KEY]
    return text.decode("ascii") if isinstance(text, bytes) else str(text)


def _hash_frames(image: Image.Image) -> str:
    digest = hashlib.sha256()
    for frame in ImageSequence.Iterator(image):
        digest.update(f"{frame.width}x{frame.height}\n".encode())
        digest.update(frame.convert("RGB").tobytes())
    return digest.hexdigest()
