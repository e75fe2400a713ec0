"""Broken and odd files among good ones: none stops a run, and each is in the table with its fate and a reason."""

import csv
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
from test_faces import encoded, noise, stages
from test_sources import run as download

from omokage.errors import Refused

NOBODY = 65534
GREY = Image.fromarray(np.random.default_rng(7).integers(0, 2**16, (40, 40), np.uint16))
TURNED = Image.Exif()
TURNED[0x0112] = 6
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def bomb() -> bytes:
    """A PNG whose header promises 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animation(format: str) -> bytes:
    return encoded(noise(30), format, save_all=True, append_images=[noise(31), noise(32)])


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("inside.png", encoded(noise(33)))
    return content.getvalue()


# name of the file, its bytes, and the beginning of its fate: kept, or the reason why not.
KINDS: list[tuple[str, bytes, str]] = [
    ("zero bytes.png", b"", "unknown format"),
    ("truncated.jpg", encoded(noise(1), "JPEG")[:600], "broken"),
    ("text.jpg", b"these are words", "unknown format"),
    ("a png.jpg", encoded(noise(2)), "kept"),
    ("cmyk.jpg", encoded(noise(3).convert("CMYK"), "JPEG"), "kept"),
    ("16 bit.png", encoded(GREY), "kept"),
    ("1 bit.png", encoded(noise(4).convert("1")), "kept"),
    ("palette.png", encoded(noise(5).quantize(16), transparency=3), "kept"),
    ("rgba.png", encoded(noise(6).convert("RGBA")), "kept"),
    ("la.png", encoded(noise(8).convert("LA")), "kept"),
    ("animated.gif", animation("GIF"), "kept"),
    ("animated.webp", animation("WEBP"), "kept"),
    ("turned.jpg", encoded(noise(9, 40, 37), "JPEG", exif=TURNED), "kept"),
    ("profile.jpg", encoded(noise(10), "JPEG", icc_profile=PROFILE), "kept"),
    ("progressive.jpg", encoded(noise(11), "JPEG", progressive=True), "kept"),
    ("bomb.png", bomb(), "too large"),
    ("1x1.png", encoded(noise(12, 1, 1)), "too small"),
    ("1x5000.png", encoded(noise(13, 1, 5000)), "too small"),
    ("x.png/inside.png", encoded(noise(14)), "kept"),
    (".hidden.png", encoded(noise(15)), "hidden"),
    ("__MACOSX/._a.png", b"resource fork", "hidden"),
    ("nested.zip", zipped(), "an archive in it is not opened"),
    ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not named as a picture"),
    ("layers.psd", b"8BPS\0\1", "not named as a picture"),
    ("layers.png", b"8BPS\0\1" + bytes(100), "unknown format"),
    ("Case.png", encoded(noise(16)), "kept"),
    ("case.png", encoded(noise(17)), "kept"),
    ("a\nnewline.png", encoded(noise(18)), "kept"),
    ("copy.bmp", encoded(noise(2), "BMP"), "duplicate of a png.jpg"),
    ("tiff.png", encoded(noise(19), "TIFF"), "unknown format"),
]
ON_DISK = {
    "broken link.png": "cannot be read (No such file or directory)",
    "loop.png": "cannot be read (Too many levels of symbolic links)",
    "unreadable.png": "cannot be read (Permission denied)",
    "pipe.png": "no regular file",
    "linked folder": "a link to a folder",
    "x.png": "a folder",
}


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be the user nobody for a while, since root may read everything; the standard library may then be out of reach."""
    b"".decode("cp437")  # of zip's names, looked up once
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def fates(out: Path) -> dict[str, str]:
    """The fate of each file: kept, or the reason."""
    with (out / "curation.csv").open(encoding="utf-8", newline="") as table:
        return {row["picture"]: row["reason"] or row["fate"] for row in csv.DictReader(table)}


def check(found: dict[str, str], expected: dict[str, str]) -> None:
    assert set(found) == set(expected)
    wrong = {name: fate for name, fate in found.items() if not fate.startswith(expected[name])}
    assert wrong == {}


EXPECTED = {name.replace("\n", "_"): fate for name, _, fate in KINDS}


@pytest.mark.skipif(sys.platform == "darwin", reason="names that differ in case are one file here")
def test_every_kind_in_a_folder_has_its_fate() -> None:
    assert len(KINDS) + len(ON_DISK) >= 25
    with tempfile.TemporaryDirectory() as root:
        place = Path(root)
        folder = place / "pictures"
        for name, content, _ in KINDS:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "broken link.png").symlink_to("nowhere.png")
        (folder / "loop.png").symlink_to("loop.png")
        (folder / "linked folder").symlink_to(place)
        os.mkfifo(folder / "pipe.png")
        (folder / "unreadable.png").write_bytes(encoded(noise(20)))
        (folder / "unreadable.png").chmod(0)
        (place / "out").mkdir()
        for path in (place, place / "out"):
            path.chmod(0o777)
        with as_nobody():
            archive, manifest, _ = download(place / "out", folder, source="folder")
        stages(archive.parent, place / "work")
        check(fates(archive.parent), EXPECTED | ON_DISK)
        assert len(manifest["pictures"]) + len(manifest["left_out"]) == len(KINDS) + len(ON_DISK)


def test_every_kind_in_a_zip_has_its_fate(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content, _ in KINDS:
            file.writestr(name, content)
    archive, *_ = download(tmp_path, tmp_path / "odd.zip", source="folder")
    stages(archive.parent, tmp_path / "work")
    check(fates(archive.parent), EXPECTED)


def test_too_few_left_say_how_many_of_each(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as file:
        for name, content, fate in KINDS:
            if fate != "kept":
                file.writestr(name, content)
        file.writestr("good.png", encoded(noise(2)))
    archive, *_ = download(tmp_path, tmp_path / "odd.zip", source="folder")
    with pytest.raises(Refused) as refused:
        stages(archive.parent, tmp_path / "work")
    assert "10 pictures gave" in str(refused.value)
    assert "1 broken, 1 duplicate, 5 left out, 1 too large, 2 too small, 4 unknown format" in str(refused.value)
