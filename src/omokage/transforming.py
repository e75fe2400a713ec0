"""Transform a user's own pictures with a trained model: read them, hand them to the core, and draw what comes back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from omokage import model
from omokage.data.faces import Cropper
from omokage.data.look import look
from omokage.device import memory_format, prepare
from omokage.diffusion.random import generator
from omokage.diffusion.samplers import SPACINGS, Noise, choose, levels
from omokage.diffusion.transform import between, decode, encode, variation
from omokage.drawing import denoiser
from omokage.errors import Refused
from omokage.figures.sheet import margin, tile


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


class Transformer:
    """A model and a way to transform, ready for pictures."""

    def __init__(self, path: Path, wish: Wish, threads: int) -> None:
        if not path.is_file():
            raise Refused(f"{path}: there is no model: train one with `make`, or name one with --model")
        self.wish, self.device = wish, prepare(threads)
        network, self.spec = model.load(path, self.device)
        self.denoiser = denoiser(network, self.spec, self.device)
        if wish.steps > self.spec.timesteps:
            raise Refused(f"--steps {wish.steps}: expected at most the model's {self.spec.timesteps} noise levels")
        # Encoding has to end where there is no noise left; trailing steps do not go down to it.
        spacing = "trailing" if wish.how == "vary" else "log-snr"
        self.steps = SPACINGS[spacing](self.denoiser.schedule, levels(wish.sampler, wish.steps))

    @property
    def side(self) -> int:
        """The side of the pictures the model knows."""
        return self.spec.architecture.image_size

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> tuple[Tensor, dict[str, list[float]]]:
        """Return uint8 [rows, columns, 3, side, side], the given pictures first, and what was measured."""
        x0 = self.spec.whiten(pictures).to(self.device, memory_format=memory_format(self.device))
        if self.wish.how == "vary":
            return self._varied(x0), {}
        if self.wish.how == "roundtrip":
            return self._round_trip(x0)
        way = torch.linspace(0, 1, self.wish.count)
        return self.spec.pictures(between(self.denoiser, x0[:1], x0[1:2], way, self.steps)).cpu()[None], {}

    def _varied(self, x0: Tensor) -> Tensor:
        sampler = choose(self.wish.sampler, 0.0)
        columns = [
            variation(self.denoiser, x0, self.wish.strength, self.steps, sampler, self._noise(number, x0))
            for number in range(self.wish.count)
        ]
        return self.spec.pictures(torch.stack([x0, *columns], 1).flatten(0, 1)).cpu().unflatten(0, (len(x0), -1))

    def _noise(self, number: int, like: Tensor) -> Noise:
        def noise(step: int) -> Tensor:
            drawn = [
                torch.randn(picture.shape, generator=generator(self.wish.seed, f"variation {number} of {i}", step))
                for i, picture in enumerate(like)
            ]
            return torch.stack(drawn).to(like)

        return noise

    def _round_trip(self, x0: Tensor) -> tuple[Tensor, dict[str, list[float]]]:
        latent = encode(self.denoiser, x0, self.steps)
        back = self.spec.pictures(decode(self.denoiser, latent, self.steps)).cpu()
        given, noise = self.spec.pictures(x0).cpu(), self.spec.pictures(latent).cpu()
        errors = (back.double() - given.double()).square().mean((1, 2, 3)).sqrt()
        return torch.stack([given, noise, back], 1), {"rmse": [round(float(error), 3) for error in errors]}


def sheet(rows: Tensor) -> Image.Image:
    """Return the rows as one picture, large enough to look at."""
    return margin(tile(np.asarray(rows.flatten(0, 1)), rows.shape[1]))


def stamp(wish: Wish, model_sha256: str, pictures: Tensor) -> dict[str, object]:
    """Return what the picture carries: how it was made, of which model, and of which pixels."""
    return {"transform": asdict(wish), "model": model_sha256, "mean": round(float(pictures.float().mean()), 3)}
