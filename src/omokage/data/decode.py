"""From the bytes of an untrusted picture to upright RGB pixels."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
LARGEST = 50_000_000  # pixels
SIDEWAYS = 5  # EXIF orientations from here on swap width and height
# What sets a picture of an EXIF orientation upright; any other value means nothing.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnusableError(Exception):
    """A picture cannot be used; `kind` is counted, the message says more: always the same for the same bytes."""

    def __init__(self, kind: str, more: str) -> None:
        super().__init__(f"{kind}{more}")
        self.kind = kind


def decode(content: bytes) -> Image.Image:
    """Return the first frame in RGB, turned as its EXIF says, over white where it is transparent.

    Palettes, grey (also 16-bit) and CMYK are converted; colour profiles are not applied. Raises UnusableError
    for what is not one of FORMATS, is broken or truncated, or has more than LARGEST pixels (before they are unpacked).
    """
    with _opened(content) as picture:
        picture.load()
        turn = TURNS.get(_orientation(picture))
        return _rgb(picture if turn is None else picture.transpose(turn))


def upright_size(content: bytes) -> tuple[int, int]:
    """Return width and height as `decode` would give them, without decoding; raise UnusableError as it does."""
    with _opened(content) as picture:
        orientation = _orientation(picture)
        sideways = orientation in TURNS and orientation >= SIDEWAYS
        return (picture.height, picture.width) if sideways else picture.size


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of Pillow, which then goes on
            picture = Image.open(BytesIO(content), formats=FORMATS)
            if picture.width * picture.height > LARGEST:
                raise UnusableError("too large", f": {picture.width} x {picture.height} pixels")
            yield picture
    except UnusableError:
        raise
    except Image.DecompressionBombError:
        raise UnusableError("too large", f": more than {LARGEST} pixels") from None
    except UnidentifiedImageError:
        raise UnusableError("unknown format", f": not one of {', '.join(FORMATS)}") from None
    except OSError as error:
        raise UnusableError("broken", f": {error}") from None
    except MemoryError:  # of the machine, not of the picture
        raise
    except Exception as error:  # decoders of hostile bytes raise anything: struct.error, IndexError, SyntaxError...
        raise UnusableError("broken", f": {type(error).__name__}") from None


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block says nothing against the pixels
        return 1


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        return Image.fromarray((np.asarray(picture).astype(np.uint32) // 257).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    colours = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
