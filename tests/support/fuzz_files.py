"""Read mutated images and archives under limits on memory and time; any exception but our own refusals ends the run.

python -m support.fuzz_files COUNT

Prints the numbers of files taken and refused, and the peak of the memory in MiB.
"""

import contextlib
import io
import json
import os
import re
import resource
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from omokage.base.errors import UserError
from omokage.data.images.decode import UnusableImageError, decode_image, read_upright_size
from omokage.data.sources import folder
from support import icc
from support.images import encode_image, random_image

ADDRESS_SPACE, CPU_SECONDS = 6 * 2**30, 1200
KINDS = ("overwrite", "insert", "delete", "repeat", "truncate")
Edit = tuple[str, float, bytes]


def make_images() -> dict[str, bytes]:
    """Return an intact image of every format and of several kinds of pixels, by name."""
    image, frames = random_image(1, 40, 32), [random_image(number, 40, 32) for number in (2, 3)]
    profile, exif = icc.ADOBE_RGB.profile(), Image.Exif()
    exif[0x0112] = 6
    animation = {"save_all": True, "append_images": frames}
    blank = Image.new("RGB", image.size)
    grey = Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32))
    cmyk = icc.cmyk_profile((255, 128, 128), (136, 208, 195))
    images = {
        "jpeg": encode_image(image, "JPEG", icc_profile=profile, exif=exif),
        "progressive jpeg": encode_image(image, "JPEG", progressive=True),
        "cmyk jpeg": encode_image(image.convert("CMYK"), "JPEG", icc_profile=cmyk),
        "mpo": encode_image(image, "MPO", **animation),
        "png": encode_image(image, "PNG", icc_profile=profile, exif=exif),
        "palette png": encode_image(image.quantize(16), transparency=3),
        "grey png": encode_image(grey),
        "animated png": encode_image(blank, "PNG", **animation),
        "webp": encode_image(image, "WEBP", icc_profile=profile),
        "animated webp": encode_image(blank.convert("RGBA"), "WEBP", **animation),
        "bmp": encode_image(image, "BMP"),
        "gif": encode_image(blank, "GIF", **animation),
        "avif": encode_image(image, "AVIF", icc_profile=profile),
        "animated avif": encode_image(blank, "AVIF", **animation),
        "pages": encode_image(blank.copy(), "TIFF", save_all=True, append_images=[random_image(2, 40, 32)]),
    }
    for compression in (None, "tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits"):
        images[f"tiff {compression}"] = encode_image(image.copy(), "TIFF", compression=compression, icc_profile=profile)
    return images


def make_archives(images: dict[str, bytes]) -> dict[str, bytes]:
    """Return intact archives of some images, by name."""
    files = {"sub/a.jpg": images["jpeg"], "ソ.gif": images["gif"], "notes.txt": b"words"}
    files["deep/" * 24 + "x"] = images["webp"]
    archives = {}
    for name, method in (("stored zip", zipfile.ZIP_STORED), ("deflated zip", zipfile.ZIP_DEFLATED)):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as zip_file:
            for path, content in files.items():
                zip_file.writestr(path, content)
        archives[name] = buffer.getvalue()
    for name, mode, format in (
        ("tar", "w", tarfile.USTAR_FORMAT),
        ("pax tar", "w", tarfile.PAX_FORMAT),
        ("gnu tar", "w", tarfile.GNU_FORMAT),
        ("tar.gz", "w:gz", tarfile.PAX_FORMAT),
    ):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode, format=format) as tar:  # type: ignore[call-overload]
            for path, content in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        archives[name] = buffer.getvalue()
    return archives


def mutate(content: bytes, edits: list[Edit]) -> bytes:
    """Return the content after the edits, each of a kind, at a position (a fraction of the length), with some bytes."""
    for kind, fraction, part in edits:
        position = int(fraction * len(content))
        before, after = content[:position], content[position:]
        if kind == "overwrite":
            content = before + part + after[len(part) :]
        elif kind == "insert":
            content = before + part + after
        elif kind == "delete":
            content = before + after[len(part) :]
        elif kind == "repeat":
            content = before + after[:64] * 2 + after[64:]
        else:
            content = before
    return content


def read_image(content: bytes) -> bool:
    """Return whether the image is taken rather than refused; if so, check that both readers agree on its size."""
    try:
        image = decode_image(content)
    except UnusableImageError:
        with contextlib.suppress(UnusableImageError):
            read_upright_size(content)
        return False
    assert image.mode == "RGB" and image.size == read_upright_size(content)
    return True


def read_archive(path: Path) -> bool:
    """Return whether the archive is taken rather than refused; if so, read the images in it."""
    try:
        for name, content in folder.collect(path, "fuzzed").files:
            assert not name.startswith("/") and ".." not in name.split("/")
            if isinstance(content, bytes):
                read_image(content)
    except UserError as error:
        assert "\n" not in str(error)
        return False
    return True


def main(count: int) -> None:
    """Read `count` mutated files."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    images = make_images()
    archives = make_archives(images)
    assert all(map(read_image, images.values()))
    outcomes: Counter[str] = Counter()
    edits = st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=4)

    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "fuzzed"
        for content in archives.values():
            path.write_bytes(content)
            assert read_archive(path)

        # The same files on every run, so that a fault that is found stays.
        @settings(
            max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(name=st.sampled_from([*images, *archives]), edits=edits)
        def read_mutated(name: str, edits: list[Edit]) -> None:
            content = mutate((images | archives)[name], edits)
            path.write_bytes(content)
            is_taken = read_image(content) if name in images else read_archive(path)
            outcomes["taken" if is_taken else "refused"] += 1

        with Path(os.devnull).open("w") as silence, contextlib.redirect_stderr(silence):  # progress bars
            read_mutated()
    print(json.dumps({**outcomes, "peak": read_peak_memory()}))


def read_peak_memory() -> int:
    """Return the peak of the resident memory in MiB. Unlike ru_maxrss, it does not include the parent process."""
    (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kibibytes) // 1024


if __name__ == "__main__":
    main(int(sys.argv[1]))
