"""Decode untrusted image files to upright RGB images."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
MAX_PIXELS = 50_000_000
# EXIF orientation -> the operation that turns the image upright. Other orientations are ignored.
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
FIRST_SWAPPED_ORIENTATION = 5  # from this orientation on, width and height are swapped


class UnusableImageError(Exception):
    """An image cannot be used. For the same bytes, the message is always the same.

    `kind` is the class of faults under which the image is counted, such as "broken". The message is `kind` and
    `detail`.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}{detail}")
        self.kind = kind


def decode_image(content: bytes) -> Image.Image:
    """Return the first frame as an RGB image, upright by its EXIF orientation, with transparent parts on white.

    Palettes, grey (also 16-bit) and CMYK are converted. Colour profiles are not applied. Raises UnusableImageError for
    a file that is not in one of FORMATS, is broken or truncated, or has more than MAX_PIXELS pixels. The size is
    checked before the pixels are decompressed.
    """
    with _open_image(content) as image:
        image.load()
        transposition = TRANSPOSITIONS.get(_read_orientation(image))
        return _convert_to_rgb(image if transposition is None else image.transpose(transposition))


def read_upright_size(content: bytes) -> tuple[int, int]:
    """Return the width and height of the image that `decode_image` returns, without decoding the pixels.

    Raises UnusableImageError if the header is not that of an image in one of FORMATS, or if the image is too large.
    """
    with _open_image(content) as image:
        orientation = _read_orientation(image)
        is_swapped = orientation in TRANSPOSITIONS and orientation >= FIRST_SWAPPED_ORIENTATION
        return (image.height, image.width) if is_swapped else image.size


@contextmanager
def _open_image(content: bytes) -> Iterator[Image.Image]:
    """Yield the image with its header read.

    Every exception that damaged bytes cause, here or in the block, becomes an UnusableImageError.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # Pillow's warnings about images that it can still read
            image = Image.open(BytesIO(content), formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise UnusableImageError("too large", f": {image.width} x {image.height} pixels")
            yield image
    except UnusableImageError:
        raise
    except Image.DecompressionBombError:
        raise UnusableImageError("too large", f": more than {MAX_PIXELS} pixels") from None
    except UnidentifiedImageError:
        raise UnusableImageError("unknown format", f": not one of {', '.join(FORMATS)}") from None
    except OSError as error:
        raise UnusableImageError("broken", f": {error}") from None
    except MemoryError:  # a fault of the machine, not of the image
        raise
    except Exception as error:  # decoders may raise anything: struct.error, IndexError, SyntaxError...
        raise UnusableImageError("broken", f": {type(error).__name__}") from None


def _read_orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data does not make the pixels unusable
        return 1


def _convert_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip it at 255
        return Image.fromarray((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
