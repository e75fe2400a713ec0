"""The data set that the tests of the source kaggle download, and a token."""

import io
import zipfile

from PIL import Image

from omokage.data.sources import kaggle
from support.images import encode_image

TOKEN = "KGAT_" + "secret" * 50  # longer than a file name can be
ALWAYS = 99


def make_image(shade: int) -> bytes:
    """Return a PNG of one colour."""
    return encode_image(Image.new("RGB", (40, 40), (shade, 0, 0)))


DEEP = "/".join(["深い folder"] * 9) + "/" + "é" * 125 + "x.jpg"  # the file name has 255 bytes, the maximum
IMAGES = {"a.PNG": make_image(1), "archive/deep/b.png": make_image(2), DEEP: make_image(3)}


def make_zip(files: dict[str, bytes]) -> bytes:
    """Return a zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def collect_images(version: int = 3) -> dict[str, bytes]:
    """Return the images that the source collects, by name."""
    files = kaggle.collect("someone/faces", version).files
    return {name: content for name, content in files if isinstance(content, bytes)}
