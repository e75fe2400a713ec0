"""Pack the denoising frames into one image, from which the page plays an animation."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.report.embedded_figure import encode_data_uri
from omokage.report.wording import format_signed

# (faces, frames) to try, in this order, until the JPEG has at most MAX_BYTES bytes.
SIZES = ((8, 25), (8, 16), (6, 16), (6, 11), (4, 11), (4, 8), (3, 8), (2, 8), (1, 8), (1, 5))
MAX_BYTES, JPEG_QUALITY = 160_000, 70


@dataclass(frozen=True)
class SpriteSheet:
    """A JPEG with one column per frame, from noise to the clean image, and two rows per face: x_t above predicted x0.

    `side` is the side length of a face in pixels. `timesteps` has a short heading for each column, and `labels` a
    longer one with the log-SNR.
    """

    data_uri: str
    side: int
    faces: int
    timesteps: list[str]
    labels: list[str]

    @classmethod
    def pack(cls, arrays: Mapping[str, NDArray[Any]]) -> "SpriteSheet":
        """Pack the frames of the denoising, the arrays of results/frames.safetensors (see sampling/frames.py)."""
        frame_count, face_count, _, side, _ = arrays["x_t"].shape
        for max_faces, max_frames in SIZES:
            selected = np.linspace(0, frame_count - 1, min(max_frames, frame_count)).round().astype(int)
            faces = min(max_faces, face_count)
            # [frame, face, x_t or x0, 3, h, w]
            tiles = np.stack([arrays[key][selected, :faces] for key in ("x_t", "x0")], 2)
            sheet = tiles.transpose(1, 2, 4, 0, 5, 3).reshape(faces * 2 * side, len(selected) * side, 3)
            jpeg = io.BytesIO()
            # Not WebP, which halves the colour resolution: this is visible where the page enlarges the faces.
            Image.fromarray(sheet).save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
            if len(jpeg.getvalue()) <= MAX_BYTES:
                break
        timesteps, log_snr = arrays["t"][selected].tolist(), arrays["log_snr"][selected].tolist()
        # The last frame is the clean image, which has no timestep.
        headings = [*map(str, timesteps[:-1]), "clean"]
        labels = [f"t = {t}, log-SNR {format_signed(value)}" for t, value in zip(timesteps, log_snr, strict=True)]
        return cls(encode_data_uri(jpeg.getvalue(), "jpeg"), side, faces, headings, [*labels[:-1], "clean image"])
