"""A user's own pictures, transformed: read and cut as the pipeline cuts them, and drawn with what became of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from omokage.data.faces import Cropper
from omokage.data.look import look
from omokage.errors import Refused
from omokage.figures.sheet import margin, tile
from omokage.transforming import Transformer


@dataclass(frozen=True)
class Wish:
    """How to transform: `steps` are network evaluations a picture, `strength` (0 to 1) how much is made anew.

    `count` is how many variations, or pictures on the way, there are to be of each.
    """

    how: str
    sampler: str = "ddpm"
    steps: int = 50
    strength: float = 0.5
    count: int = 6
    seed: int = 0


def faces(paths: Sequence[Path], side: int, crop: str) -> Tensor:
    """Return the likeliest face of each picture, uint8 [n, 3, side, side], cut as the pipeline cuts them.

    Raises Refused, naming the file, where there is none.
    """
    cropper, found = Cropper(side, margin=0.3, likelihood=0.8, most=1, smallest=16), []
    for path in paths:
        if not path.is_file():
            raise Refused(f"{path}: there is no such file: name pictures, such as PNG or JPEG")
        content = path.read_bytes()
        face = cropper(look(path.name, content, crop), content)[0]
        if face.pixels is None:
            raise Refused(f"{path}: {face.reason}: give a picture of a face, or take the whole with --crop whole")
        found.append(torch.from_numpy(face.pixels))
    return torch.stack(found)


def transformed(wish: Wish, transformer: Transformer, pictures: Tensor) -> tuple[Tensor, dict[str, list[float]]]:
    """Return uint8 [rows, columns, 3, side, side], the given pictures first, and what was measured."""
    if wish.how == "vary":
        columns = [
            transformer.vary(pictures, wish.strength, wish.sampler, wish.seed, number) for number in range(wish.count)
        ]
        return torch.stack([pictures, *columns], 1), {}
    if wish.how == "roundtrip":
        noise, back, errors = transformer.round_trip(pictures)
        return torch.stack([pictures, noise, back], 1), {"rmse": errors}
    return transformer.between(pictures[:1], pictures[1:2], wish.count)[None], {}


def sheet(rows: Tensor) -> Image.Image:
    """Return the rows as one picture, large enough to look at."""
    return margin(tile(np.asarray(rows.flatten(0, 1)), rows.shape[1]))


def stamp(wish: Wish, model_sha256: str, pictures: Tensor) -> dict[str, object]:
    """Return what the picture carries: how it was made, of which model, and of which pixels."""
    return {"transform": asdict(wish), "model": model_sha256, "mean": round(float(pictures.float().mean()), 3)}
