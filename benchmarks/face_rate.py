"""Measure in how many real faces the detector finds a face, by enlargement and margin.

    PYTHONPATH=src .venv/bin/python benchmarks/face_rate.py FOLDER_OR_ZIP [--count 60] [--size 32]
    PYTHONPATH=src .venv/bin/python benchmarks/face_rate.py STYLE              avatars of a DiceBear style

Prints the share of faces with a detection of at least LIKELIHOOD, and the CPU milliseconds per face.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.config.params_file import default_params
from omokage.data.detection.detector import DETECTOR
from omokage.data.images.decode import decode_image
from omokage.data.sources import folder
from omokage.data.sources.avatars import AvatarRenderer
from omokage.evaluation.scores.face_rate import LIKELIHOOD, enlarge

SIDES, MARGINS = (64, 80, 96, 112, 128, 192), (0.0, 0.15, 0.25, 0.35)


def main() -> None:
    """Print a row for each enlargement and margin."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder or zip of face crops, or a DiceBear style")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--size", type=int, default=32, help="pixels to which the faces are reduced first")
    arguments = parser.parse_args()
    faces = [shrink(content, arguments.size) for content in read_faces(arguments.source, arguments.count)]
    print(f"{len(faces)} faces of {arguments.size} pixels\nside,margin,found,milliseconds")
    for side in SIDES:
        for margin in MARGINS:
            start = time.process_time()
            found = np.mean([DETECTOR.rate_face(enlarge(face, side, margin)) >= LIKELIHOOD for face in faces])
            milliseconds = 1000 * (time.process_time() - start) / len(faces)
            print(f"{side},{margin},{found:.3f},{milliseconds:.1f}", flush=True)


def read_faces(source: str, count: int) -> Iterator[bytes]:
    """Yield at most `count` image files, spread over the folder or zip, or as many avatars of a style."""
    if not Path(source).exists():
        render = AvatarRenderer((source,), tuple(default_params()["avatar_backgrounds"]), 128, 0)
        yield from map(render, range(count))
        return
    contents = [content for _, content in folder.collect(Path(source), source).files if isinstance(content, bytes)]
    yield from contents[:: max(1, len(contents) // count)][:count]


def shrink(content: bytes, size: int) -> NDArray[np.uint8]:
    """Return an image file as uint8 [3, size, size]."""
    image: Image.Image = decode_image(content)
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS)).transpose(2, 0, 1)


if __name__ == "__main__":
    main()
