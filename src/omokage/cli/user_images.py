"""Edit a user's own images: crop the faces as the pipeline does, edit them, and compose a sheet.

A sheet is a grid of images: one row for each face, or a single row for the interpolation between two faces.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from omokage.base.errors import UserError
from omokage.config.params_file import default_params
from omokage.editing.image_editor import ImageEditor
from omokage.figures.sheet import add_margin, tile_images
from omokage.library.faces import crop_likeliest_face


@dataclass(frozen=True)
class EditRequest:
    """How to edit images. The stamp of the sheet (its embedded metadata) lists these fields.

    `how` is the method: vary (SDEdit), roundtrip (DDIM inversion) or between (interpolation). `steps` is the number of
    network evaluations per image. `strength`, from 0 to 1, is used by `vary` only. `count` is the number of variations
    of each image (`vary`), or of images per interpolation (`between`).
    """

    how: str
    sampler: str = "ddpm"
    steps: int = 50
    strength: float = 0.5
    count: int = 6
    seed: int = 0


def load_faces(paths: Sequence[Path], side: int, crop: str) -> Tensor:
    """Return the likeliest face of each image, uint8 [n, 3, side, side], cropped with the pipeline's default margin.

    `crop` is auto, detect or whole, as in params.yaml. Faces may be smaller than in the pipeline. Raises UserError if a
    file is missing, is not an image, or has no face.
    """
    defaults, faces = default_params(), []
    margin, likelihood = defaults["crop_margin"], defaults["crop_likelihood"]
    for path in paths:
        if not path.is_file():
            problem = "is not a file" if path.exists() else "there is no such file"
            raise UserError(f"{path}: {problem}: expected an image, such as PNG or JPEG")
        face = crop_likeliest_face(path.name, path.read_bytes(), side, crop, margin, likelihood)
        if face.pixels is None:
            raise UserError(f"{path}: {face.reason}: give an image of a face, or use the whole image with --crop whole")
        faces.append(torch.from_numpy(face.pixels))
    return torch.stack(faces)


def edit_faces(request: EditRequest, editor: ImageEditor, faces: Tensor) -> tuple[Tensor, dict[str, list[float]]]:
    """Return the edited faces, uint8 [rows, columns, 3, side, side], and measurements by name, one value per face.

    - vary: a row has the original face and `count` variations of it
    - roundtrip: a row has the original face, its latent (noise) and the face decoded from the latent. `rmse` is the
      root mean square error of the decoded face, in units of 1/255
    - between: the only row has `count` images from the first face to the second. `rmse` is as for roundtrip

    vary has no measurements.
    """
    if request.how == "vary":
        variations = [
            editor.vary(faces, request.strength, request.sampler, request.seed, number)
            for number in range(request.count)
        ]
        return torch.stack([faces, *variations], 1), {}
    if request.how == "roundtrip":
        latents, decoded, errors = editor.round_trip(faces)
        return torch.stack([faces, latents, decoded], 1), {"rmse": errors}
    interpolations, errors = editor.interpolate(faces[:1], faces[1:2], request.count)
    return interpolations[None], {"rmse": errors}


def compose_sheet(rows: Tensor) -> Image.Image:
    """Return a sheet of the faces [rows, columns, 3, side, side], enlarged."""
    return add_margin(tile_images(np.asarray(rows.flatten(0, 1)), rows.shape[1]))


def make_stamp(request: EditRequest, model_sha256: str, faces: Tensor) -> dict[str, object]:
    """Return the stamp of a sheet: the request, the model's sha256, and the mean grey level of the original faces."""
    return {"transform": asdict(request), "model": model_sha256, "mean": round(float(faces.float().mean()), 3)}
