"""The removal of the noise as one picture, for a page to play: a column for each moment, a row for each face."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from omokage.report.pictures import data_uri

# (faces, moments), of which the first that fits is taken. Noise cannot be compressed.
SIZES = ((8, 25), (8, 16), (6, 16), (6, 11), (4, 11), (4, 8), (3, 8), (2, 8), (1, 8), (1, 5))
BUDGET, QUALITY = 200_000, 80


@dataclass(frozen=True)
class Film:
    """A film of `faces` faces of `side` pixels at the `steps` t, which fall; of each face first x_t, below it x0."""

    data: str
    side: int
    faces: int
    steps: list[int]

    @classmethod
    def load(cls, path: Path) -> "Film":
        """Read the moments t [f], and x_t and x0 as uint8 [f, n, 3, h, w]."""
        arrays = load_file(path)
        count, filmed, _, side, _ = arrays["x_t"].shape
        for faces, moments in SIZES:
            shown = np.linspace(0, count - 1, min(moments, count)).round().astype(int)
            faces = min(faces, filmed)
            # [moment, face, x_t or x0, 3, h, w]
            tiles = np.stack([arrays[key][shown, :faces] for key in ("x_t", "x0")], 2)
            sheet = tiles.transpose(1, 2, 4, 0, 5, 3).reshape(faces * 2 * side, len(shown) * side, 3)
            written = io.BytesIO()
            # WebP keeps colours at half the resolution: pixels this large would show it.
            Image.fromarray(sheet).save(written, "JPEG", quality=QUALITY, subsampling="4:4:4")
            if len(written.getvalue()) <= BUDGET:
                break
        return cls(data_uri(written.getvalue(), "jpeg"), side, faces, arrays["t"][shown].tolist())
