"""Transform pictures with a trained model: variations, there and back, and what lies between two."""

from pathlib import Path

import torch
from torch import Tensor

from omokage import model
from omokage.device import memory_format, prepare
from omokage.diffusion.random import generator
from omokage.diffusion.samplers import SPACINGS, Noise, choose, levels
from omokage.diffusion.transform import arc, between, decode, encode, variation
from omokage.drawing import denoiser
from omokage.errors import Refused

# Encoding has to end where there is no noise left: of the ways to visit the schedule's steps, this one does.
DOWN_TO_NO_NOISE = "log-snr"


class Transformer:
    """A trained model, ready for uint8 pictures [n, 3, side, side], with `steps` network evaluations for each.

    Raises Refused where there is no model, or where it has fewer noise levels than `steps`.
    """

    def __init__(self, path: Path, steps: int, threads: int) -> None:
        if not path.is_file():
            raise Refused(f"{path}: there is no model: train one with `make`, or name one with --model")
        self.evaluations, self.device = steps, prepare(threads)
        network, self.spec = model.load(path, self.device)
        self.denoiser = denoiser(network, self.spec, self.device)
        if steps > self.spec.timesteps:
            raise Refused(f"--steps {steps}: expected at most the model's {self.spec.timesteps} noise levels")

    @property
    def side(self) -> int:
        """The side of the pictures the model knows."""
        return self.spec.architecture.image_size

    @torch.inference_mode()
    def vary(self, pictures: Tensor, strength: float, sampler: str, seed: int, number: int = 0) -> Tensor:
        """Return variation `number` of each picture: noised up to `strength` (0 to 1) and cleaned again (SDEdit)."""
        x0, steps = self._whitened(pictures), self._steps("trailing", sampler)
        noise = self._noise(seed, number, x0)
        return self._pictures(variation(self.denoiser, x0, strength, steps, choose(sampler, 0.0), noise))

    @torch.inference_mode()
    def round_trip(self, pictures: Tensor) -> tuple[Tensor, Tensor, list[float]]:
        """Return the noise that DDIM encodes the pictures to, the pictures decoded from it, and their errors.

        An error is the root of the mean square over a picture, in grey levels of 255.
        """
        x0, steps = self._whitened(pictures), self._steps(DOWN_TO_NO_NOISE, "ddim")
        latent = encode(self.denoiser, x0, steps)
        back = self._pictures(decode(self.denoiser, latent, steps))
        errors = (back.double() - pictures.double()).square().mean((1, 2, 3)).sqrt()
        return self._pictures(latent), back, [round(float(error), 3) for error in errors]

    @torch.inference_mode()
    def between(self, one: Tensor, other: Tensor, count: int) -> Tensor:
        """Return `count` pictures on the way from one picture [1, 3, side, side] to another, both ends included."""
        way, steps = torch.linspace(0, 1, count), self._steps(DOWN_TO_NO_NOISE, "ddim")
        return self._pictures(between(self.denoiser, self._whitened(one), self._whitened(other), way, steps))

    @torch.inference_mode()
    def between_seeds(self, seed: int, one: int, other: int, count: int) -> Tensor:
        """Return `count` pictures by DDIM on the way from noise `one` of the seed to noise `other`, ends included."""
        shape = (1, 3, self.side, self.side)
        start, end = (torch.randn(shape, generator=generator(seed, "between", number)) for number in (one, other))
        noise = arc(start, end, torch.linspace(0, 1, count)).to(self.device, memory_format=memory_format(self.device))
        return self._pictures(decode(self.denoiser, noise, self._steps("early", "ddim")))

    def _steps(self, spacing: str, sampler: str) -> list[int]:
        return SPACINGS[spacing](self.denoiser.schedule, levels(sampler, self.evaluations))

    def _whitened(self, pictures: Tensor) -> Tensor:
        return self.spec.whiten(pictures).to(self.device, memory_format=memory_format(self.device))

    def _pictures(self, x: Tensor) -> Tensor:
        return self.spec.pictures(x).cpu()

    @staticmethod
    def _noise(seed: int, number: int, like: Tensor) -> Noise:
        def noise(step: int) -> Tensor:
            drawn = [
                torch.randn(picture.shape, generator=generator(seed, f"variation {number} of {i}", step))
                for i, picture in enumerate(like)
            ]
            return torch.stack(drawn).to(like)

        return noise
