"""Images of every format, colour space and mode become upright sRGB images."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps
from support import icc
from support.images import encode_image, random_image

from omokage.data.images import decode
from omokage.data.images.decode import UnusableImageError, decode_image, read_upright_size

SPACES = (icc.ADOBE_RGB, icc.DISPLAY_P3, icc.PROPHOTO)
RED, WHITE, GREEN = (255, 0, 0), (255, 255, 255), (0, 128, 0)


def draw_colours() -> np.ndarray:
    """Return a smooth picture of many colours, uint8 [64, 64, 3]."""
    across, down = np.meshgrid(np.arange(64), np.arange(64))
    return np.stack([across * 4, down * 4, 255 - 2 * (across + down)], -1).clip(0, 255).astype(np.uint8)


def encode_with_profile(space: icc.RgbSpace, format: str, **options: object) -> bytes:
    """Return an image file whose values are in the colour space, with its profile."""
    values = Image.fromarray(icc.convert_from_srgb(draw_colours(), space))
    return encode_image(values, format, icc_profile=space.profile(), **options)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_colours_are_converted_to_srgb(space: icc.RgbSpace, format: str) -> None:
    values = icc.convert_from_srgb(draw_colours(), space)
    content = encode_image(Image.fromarray(values), format, icc_profile=space.profile())
    error = np.abs(np.asarray(decode_image(content)) - icc.convert_to_srgb(values, space))
    assert error.mean() < 0.5
    assert np.abs(values - icc.convert_to_srgb(values, space)).mean() > 1.5


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_the_profile_of_a_lossy_image_is_applied(format: str) -> None:
    quality = {"subsampling": "4:4:4"} if format != "WEBP" else {"lossless": True}
    decoded = decode_image(encode_with_profile(icc.PROPHOTO, format, quality=100, **quality))
    assert np.abs(np.asarray(decoded).astype(float) - draw_colours()).mean() < 2


@pytest.mark.parametrize("convert", [lambda image: image.convert("RGBA"), lambda image: image.quantize(256)])
def test_the_profile_is_applied_to_transparent_and_palette_images(
    convert: Callable[[Image.Image], Image.Image],
) -> None:
    colour = icc.convert_from_srgb(np.full((4, 4, 3), GREEN, np.uint8), icc.ADOBE_RGB)
    content = encode_image(convert(Image.fromarray(colour)), icc_profile=icc.ADOBE_RGB.profile())
    np.testing.assert_allclose(decode_image(content).getpixel((1, 1)), GREEN, atol=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_profile_is_applied(mode: str) -> None:
    image = Image.new("L", (4, 4), 100).convert("LA") if mode == "LA" else Image.new("L", (4, 4), 100)
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 100 * 257, np.uint16))
    decoded = decode_image(encode_image(image, icc_profile=icc.grey_profile(1.0)))
    expected = round(255 * float(icc.encode_srgb(np.array(100 / 255))))
    np.testing.assert_allclose(decoded.getpixel((1, 1)), (expected,) * 3, atol=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile_and_without_one_by_the_formula(format: str) -> None:
    image = Image.new("CMYK", (16, 16), (255, 255, 0, 0))
    profile = icc.cmyk_profile(paper=(255, 128, 128), ink=(136, 208, 195))  # the ink is red, L 53, a 80, b 67
    options = {"quality": 100} if format == "JPEG" else {}
    with_profile = decode_image(encode_image(image, format, icc_profile=profile, **options))
    np.testing.assert_allclose(with_profile.getpixel((8, 8)), RED, atol=10)  # type: ignore[arg-type]
    without = decode_image(encode_image(image, format, **options))
    np.testing.assert_allclose(without.getpixel((8, 8)), (0, 0, 255), atol=3)  # type: ignore[arg-type]
    shaded = decode_image(encode_image(Image.new("CMYK", (16, 16), (51, 102, 0, 128)), format, **options))
    np.testing.assert_allclose(shaded.getpixel((8, 8)), (102, 76, 127), atol=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "profile",
    [
        b"not a profile",
        icc.ADOBE_RGB.profile()[:200],
        icc.ADOBE_RGB.profile().replace(b"RGB ", b"Lab "),
        icc.grey_profile(1.0),
        icc.cmyk_profile((255, 128, 128), (0, 128, 128)),
        icc.ADOBE_RGB.profile().ljust(17 * 2**20, b"\0"),
    ],
    ids=["text", "truncated", "Lab", "grey", "CMYK", "huge"],
)
def test_a_profile_that_is_broken_or_of_other_colours_is_ignored(profile: bytes) -> None:
    image = random_image(1)
    np.testing.assert_array_equal(decode_image(encode_image(image, "TIFF", icc_profile=profile)), image)


@pytest.mark.parametrize("format", ["TIFF", "AVIF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_upright_and_its_header_gives_that_size(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(draw_colours()[:40])
    with Image.open(io.BytesIO(encode_image(image, "PNG", exif=exif))) as reference:
        expected = ImageOps.exif_transpose(reference)
    content = encode_image(image, format, exif=exif, **({} if format in ("TIFF", "PNG") else {"quality": 100}))
    decoded = decode_image(content)
    assert read_upright_size(content) == decoded.size == expected.size
    assert np.abs(np.asarray(decoded).astype(float) - np.asarray(expected)).mean() < 4


def encode_frames(frames: list[Image.Image], format: str) -> bytes:
    """Return an animation, or a TIFF of several pages."""
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "AVIF" else {}
    if format == "PNG":
        options["default_image"] = False
    return encode_image(frames[0], format, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_that_is_not_blank_is_taken(format: str) -> None:
    drawing = Image.new("RGB", (32, 32), WHITE)
    drawing.paste(RED, (0, 0, 16, 32))
    blank, other = Image.new("RGB", (32, 32), WHITE), ImageOps.mirror(drawing)
    for frames in ([blank, drawing, other], [drawing, other]):
        decoded = decode_image(encode_frames(frames, format))
        assert decoded.size == (32, 32)
        np.testing.assert_allclose(decoded.getpixel((4, 16)), RED, atol=4)  # type: ignore[arg-type]
    alone = decode_image(encode_frames([blank, Image.new("RGB", (32, 32), GREEN)], format))
    np.testing.assert_allclose(alone.getpixel((4, 16)), WHITE, atol=4)  # type: ignore[arg-type]


def test_a_page_of_another_size_is_not_taken_for_a_frame() -> None:
    content = encode_frames([Image.new("RGB", (32, 32), WHITE), random_image(1, 20, 20)], "TIFF")
    assert decode_image(content).size == read_upright_size(content) == (32, 32)


def test_the_search_for_a_frame_and_the_size_of_an_image_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    blank = Image.new("RGB", (32, 32), WHITE)
    content = encode_frames([blank, Image.new("RGB", (32, 32), GREEN), random_image(1, 32, 32)], "TIFF")
    monkeypatch.setattr(decode, "MAX_PIXELS", 3 * 32 * 32)
    assert decode_image(content).getpixel((0, 0)) != WHITE
    monkeypatch.setattr(decode, "MAX_PIXELS", 2 * 32 * 32)
    assert decode_image(content).getpixel((0, 0)) == WHITE
    monkeypatch.setattr(decode, "MAX_PIXELS", 32 * 32 - 1)
    for format in ("TIFF", "AVIF", "MPO"):
        with pytest.raises(UnusableImageError, match="too large: 32 x 32 pixels"):
            decode_image(encode_image(blank, format))


def test_the_first_picture_of_an_mpo_is_taken() -> None:
    first = Image.new("RGB", (32, 32), RED)
    content = encode_image(first, "MPO", save_all=True, append_images=[Image.new("RGB", (32, 32), GREEN)], quality=95)
    np.testing.assert_allclose(decode_image(content).getpixel((8, 8)), RED, atol=4)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_that_are_no_colours_are_refused(mode: str) -> None:
    with pytest.raises(UnusableImageError, match=f"unsupported format: pixels of mode {mode}") as caught:
        decode_image(encode_image(Image.new(mode, (8, 8)), "TIFF"))
    assert caught.value.kind == "unsupported format"


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grey_tiffs_of_both_byte_orders_are_scaled(order: str) -> None:
    grey = np.full((8, 8), 100 * 257, np.uint16).astype(f"{order}u2")
    image = Image.frombytes("I;16B" if order == ">" else "I;16", (8, 8), grey.tobytes())
    assert decode_image(encode_image(image, "TIFF")).getpixel((4, 4)) == (100, 100, 100)


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits", None])
def test_compressed_tiffs_are_read(compression: str | None) -> None:
    image = Image.fromarray(draw_colours())
    decoded = decode_image(encode_image(image, "TIFF", compression=compression))
    assert np.abs(np.asarray(decoded).astype(float) - draw_colours()).mean() < 4
