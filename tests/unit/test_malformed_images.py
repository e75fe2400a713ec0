"""Malformed files do not stop a run: each is in the curation table, with the reason if it is dropped."""

import io
import os
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from support.images import encode_image, random_image, read_table, run_detect_and_faces, run_download

from omokage.base.errors import UserError

NOBODY = 65534  # the user id of nobody
GREY = Image.fromarray(np.random.default_rng(7).integers(0, 2**16, (40, 40), np.uint16))
ROTATED = Image.Exif()
ROTATED[0x0112] = 6
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def make_bomb() -> bytes:
    """Return a PNG with a header for 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def make_animation(format: str) -> bytes:
    """Return an animation of three frames."""
    return encode_image(random_image(30), format, save_all=True, append_images=[random_image(31), random_image(32)])


def make_zip() -> bytes:
    """Return a zip with an image."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("inside.png", encode_image(random_image(33)))
    return buffer.getvalue()


# Name of the file, its bytes, and "kept" or the start of the reason why it is dropped.
FILES: list[tuple[str, bytes, str]] = [
    ("zero bytes.png", b"", "broken: empty file"),
    ("truncated.jpg", encode_image(random_image(1), "JPEG")[:600], "broken"),
    ("text.jpg", b"these are words", "broken: text"),
    ("a png.jpg", encode_image(random_image(2)), "kept"),
    ("cmyk.jpg", encode_image(random_image(3).convert("CMYK"), "JPEG"), "kept"),
    ("16 bit.png", encode_image(GREY), "kept"),
    ("1 bit.png", encode_image(random_image(4).convert("1")), "kept"),
    ("palette.png", encode_image(random_image(5).quantize(16), transparency=3), "kept"),
    ("rgba.png", encode_image(random_image(6).convert("RGBA")), "kept"),
    ("la.png", encode_image(random_image(8).convert("LA")), "kept"),
    ("animated.gif", make_animation("GIF"), "kept"),
    ("animated.webp", make_animation("WEBP"), "kept"),
    ("rotated.jpg", encode_image(random_image(9, 40, 37), "JPEG", exif=ROTATED), "kept"),
    ("profile.jpg", encode_image(random_image(10), "JPEG", icc_profile=PROFILE), "kept"),
    ("progressive.jpg", encode_image(random_image(11), "JPEG", progressive=True), "kept"),
    ("bomb.png", make_bomb(), "too large"),
    ("1x1.png", encode_image(random_image(12, 1, 1)), "too small"),
    ("1x5000.png", encode_image(random_image(13, 1, 5000)), "too small"),
    ("x.png/inside.png", encode_image(random_image(14)), "kept"),
    (".hidden.png", encode_image(random_image(15)), "hidden"),
    ("__MACOSX/._a.png", b"resource fork", "hidden"),
    ("nested.zip", make_zip(), "archive: zip inside"),
    ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported format: SVG"),
    ("layers.psd", b"8BPS\0\1", "unsupported format: PSD"),
    ("layers.png", b"8BPS\0\1" + bytes(100), "unsupported format: PSD"),
    ("Case.png", encode_image(random_image(16)), "kept"),
    ("case.png", encode_image(random_image(17)), "kept"),
    ("a\nnewline.png", encode_image(random_image(18)), "kept"),
    ("copy.bmp", encode_image(random_image(2), "BMP"), "duplicate of a png.jpg"),
    ("tiff.png", encode_image(random_image(19), "TIFF"), "kept"),
    ("avif without a suffix", encode_image(random_image(21), "AVIF"), "kept"),
    ("notes.txt", b"words", "not an image: text"),
]
ON_DISK = {
    "broken link.png": "unreadable: No such file or directory",
    "loop.png": "unreadable: Too many levels of symbolic links",
    "unreadable.png": "unreadable: Permission denied",
    "pipe.png": "unreadable: no regular file",
    "linked folder": "link: to a folder",
}


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run as the user nobody, because root may read everything. The standard library may be unreadable meanwhile."""
    b"".decode("cp437")  # loads the codec that zipfile needs for names
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def check_decisions(out: Path, expected: dict[str, str]) -> None:
    """Check that each file is kept, or dropped for the expected reason."""
    rows = read_table(out / "curation.csv")
    outcomes = {row["picture"]: row["reason"] or row["fate"] for row in rows}
    assert set(outcomes) == set(expected)
    unexpected = {name: outcome for name, outcome in outcomes.items() if not outcome.startswith(expected[name])}
    assert unexpected == {}


EXPECTED = {name.replace("\n", "_"): outcome for name, _, outcome in FILES}


@pytest.mark.skipif(sys.platform == "darwin", reason="names that differ in case are the same file")
def test_malformed_files_in_a_folder_are_dropped_with_a_reason() -> None:
    with tempfile.TemporaryDirectory() as root:
        parent = Path(root)
        folder = parent / "pictures"
        for name, content, _ in FILES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "broken link.png").symlink_to("nowhere.png")
        (folder / "loop.png").symlink_to("loop.png")
        (folder / "linked folder").symlink_to(parent)
        os.mkfifo(folder / "pipe.png")
        (folder / "unreadable.png").write_bytes(encode_image(random_image(20)))
        (folder / "unreadable.png").chmod(0)
        (parent / "out").mkdir()
        for path in (parent, parent / "out"):
            path.chmod(0o777)
        with as_nobody():
            archive, manifest, _ = run_download(parent / "out", folder, source="folder")
        run_detect_and_faces(archive.parent, parent / "work")
        check_decisions(archive.parent, EXPECTED | ON_DISK)
        assert len(manifest["pictures"]) + len(manifest["left_out"]) == len(FILES) + len(ON_DISK)


def test_malformed_files_in_a_zip_are_dropped_with_a_reason(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "malformed.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content, _ in FILES:
            file.writestr(name, content)
    archive, *_ = run_download(tmp_path, tmp_path / "malformed.zip", source="folder")
    run_detect_and_faces(archive.parent, tmp_path / "work")
    check_decisions(archive.parent, EXPECTED)


def test_the_error_for_too_few_faces_counts_the_dropped_ones_by_reason(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "malformed.zip", "w") as file:
        for name, content, outcome in FILES:
            if outcome != "kept":
                file.writestr(name, content)
        file.writestr("good.png", encode_image(random_image(2)))
    archive, *_ = run_download(tmp_path, tmp_path / "malformed.zip", source="folder")
    with pytest.raises(UserError) as caught:
        run_detect_and_faces(archive.parent, tmp_path / "work")
    assert "11 images gave" in str(caught.value)
    assert "3 broken, 1 duplicate, 1 too large, 2 too small, 3 unsupported format; 4 files are no images" in str(
        caught.value
    )
