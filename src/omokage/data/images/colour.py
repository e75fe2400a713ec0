"""Convert an image of any mode to sRGB by its ICC profile, with transparent parts on white."""

import functools
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
MAX_PROFILE_SIZE = 16 * 2**20  # bytes
# The colour space of a profile -> the mode of the pixels that it describes.
PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
GREY_MODES = ("1", "L", "LA", "La")


class UnsupportedPixelsError(Exception):
    """The image has pixels that cannot be shown as 8-bit colours. The message names their mode."""


def convert_to_srgb(image: Image.Image) -> Image.Image:
    """Return the image as RGB in sRGB, with transparent parts on white.

    Without an ICC profile, or with one that is broken or does not fit the pixels, RGB and grey values are taken as
    sRGB, and CMYK is converted by R = (255 - C)(255 - K) / 255, and so on. Raises UnsupportedPixelsError for pixels
    that are floating-point, 32-bit or LAB.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):  # 16-bit grey: Pillow would clip it at 255
        image = Image.fromarray((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8))
    elif image.mode in ("I", "F", "LAB") or image.mode.startswith("I;"):
        raise UnsupportedPixelsError(image.mode)
    opaque = _change_mode(image, "RGBA") if image.has_transparency_data else image
    converted = _apply_profile(image if image.mode in GREY_MODES else opaque, profile) if profile else None
    converted = converted or opaque.convert("RGB")
    if not image.has_transparency_data:
        return converted
    converted.putalpha(opaque.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", converted.size, "white"), converted).convert("RGB")


def _change_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return the image in another mode, without the copy that Pillow makes of one that has this mode already."""
    return image if image.mode == mode else image.convert(mode)


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Return the image in sRGB, or None if the profile is broken or not for such pixels."""
    if len(profile) > MAX_PROFILE_SIZE:
        return None
    mode, transform = _build_transform(profile)
    fits = {"L": image.mode in GREY_MODES, "CMYK": image.mode == "CMYK"}.get(mode, image.mode != "CMYK")
    if transform is None or not fits:
        return None
    return ImageCms.applyTransform(_change_mode(image, mode), transform)


@functools.lru_cache(maxsize=8)  # the images of a data set share a few profiles
def _build_transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """Return the mode of the pixels that an ICC profile describes, and the conversion to sRGB; None if it is broken."""
    try:
        parsed = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = PROFILE_MODES.get(parsed.profile.xcolor_space.strip(), "")
        return mode, ImageCms.buildTransform(parsed, SRGB, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return "", None
