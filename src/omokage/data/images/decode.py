"""Decode untrusted image files to upright RGB images."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import ExifTags, Image, UnidentifiedImageError

from omokage.data.images.colour import UnsupportedPixelsError, convert_to_srgb
from omokage.data.images.formats import FORMAT_WORDS, FORMATS

MAX_PIXELS = 50_000_000  # of an image, and of all frames of an animation that are looked at
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
    """Return the image as RGB in sRGB, upright by its EXIF orientation, with transparent parts on white.

    Of an animation, the first frame that has more than one colour is returned; the first frame if there is none. The
    conversion of colours is described at `convert_to_srgb`. Raises UnusableImageError for a file that is not in one of
    FORMATS, is broken or truncated, or has more than MAX_PIXELS pixels. The size is checked before the pixels are
    decompressed.
    """
    with _open_image(content) as image:
        size = image.size
        first = _convert_frame(image)
        if not _is_blank(first):
            return first
        for number in range(1, MAX_PIXELS // (image.width * image.height)):
            try:
                image.seek(number)
            except EOFError:
                break
            if image.size != size:  # a page of another size is no frame of an animation
                continue
            if not _is_blank(frame := _convert_frame(image)):
                return frame
        return first


def read_upright_size(content: bytes) -> tuple[int, int]:
    """Return the width and height of the image that `decode_image` returns.

    Only the header is read, except for a PNG, whose EXIF data may follow the pixels.

    Raises UnusableImageError if the header is not that of an image in one of FORMATS, or if the image is too large.
    """
    with _open_image(content) as image:
        # Pillow gives the upright size of a TIFF, and turns its pixels itself.
        is_swapped = image.format != "TIFF" and _read_orientation(image) in range(FIRST_SWAPPED_ORIENTATION, 9)
        return (image.height, image.width) if is_swapped else image.size


def read_size(content: bytes) -> tuple[int, int]:
    """Return the width and height of the image as it is stored, which may be turned. Only the header is read.

    Raises UnusableImageError as `read_upright_size` does.
    """
    with _open_image(content) as image:
        return image.size


def _convert_frame(image: Image.Image) -> Image.Image:
    """Return the current frame of an opened image, upright and in sRGB."""
    image.load()
    transposition = TRANSPOSITIONS.get(_read_orientation(image))
    return convert_to_srgb(image if transposition is None else image.transpose(transposition))


def _is_blank(image: Image.Image) -> bool:
    return all(low == high for low, high in image.getextrema())  # type: ignore[misc]


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
    except UnsupportedPixelsError as error:
        raise UnusableImageError("unsupported format", f": pixels of mode {error}, expected 8 or 16 bits") from None
    except Image.DecompressionBombError:
        raise UnusableImageError("too large", f": more than {MAX_PIXELS} pixels") from None
    except UnidentifiedImageError:
        raise UnusableImageError("unknown format", f": expected {FORMAT_WORDS}") from None
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
