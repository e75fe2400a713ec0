"""Generate images with a denoiser. Each image has its own seed, so its noise does not depend on the other images."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omokage.compute.device import choose_memory_format
from omokage.compute.micro_batch import explain_large_batch
from omokage.compute.seeding import make_generator
from omokage.diffusion.model import ModelSpec
from omokage.sampling.denoiser import Denoiser
from omokage.sampling.frames import join_steps
from omokage.sampling.samplers import Sampler, SamplerStep


@dataclass(frozen=True)
class ImageGenerator:
    """A denoiser and the settings with which it generates images. Images are given by their numbers.

    The noise of image i depends only on (seed, i, step). `timesteps` are descending. At most `micro_batch` images are
    denoised at once.
    """

    denoiser: Denoiser
    spec: ModelSpec
    device: torch.device
    sampler: Sampler
    timesteps: Sequence[int]
    seed: int
    micro_batch: int

    def generate(self, images: range, chosen: Collection[int] = (), shown: int = 0) -> tuple[Tensor, list[SamplerStep]]:
        """Return the images, uint8 [n, 3, h, w], and the sampler's steps with the numbers `chosen`.

        The x_t and x0 of the steps are those of the first `shown` images, uint8 [shown, 3, h, w]. Raises UserError if
        memory runs out.
        """
        with explain_large_batch("sampling", self.micro_batch, self.spec.architecture.image_size):
            parts = [self._generate_part(part, chosen, shown) for part in split_range(images, self.micro_batch)]
        steps = [join_steps(part, shown) for part in zip(*(steps for _, steps in parts), strict=True)]
        return torch.cat([samples for samples, _ in parts]), steps

    @torch.inference_mode()
    def make_noise(self, images: range, step: int) -> Tensor:
        """Return the noise for the images, float32 [n, 3, h, w]. That of step 0 is the x_t at the first timestep."""
        size = self.spec.architecture.image_size
        # The word "picture" is part of the seed: changing it would change every sample.
        noises = [torch.randn(3, size, size, generator=make_generator(self.seed, f"picture {i}", step)) for i in images]
        return torch.stack(noises).to(self.device, memory_format=choose_memory_format(self.device))

    def _generate_part(self, images: range, chosen: Collection[int], shown: int) -> tuple[Tensor, list[SamplerStep]]:
        """Return images and steps as `generate` does, but denoise all images at once.

        The steps are converted one by one, because all of them in float take too much memory.
        """
        steps, x0 = [], torch.empty(0)
        for number, step in enumerate(self._denoise(images)):
            x0 = step.x0
            if number in chosen:
                x_t, predicted = (self._to_images(x[:shown]) for x in (step.x_t, step.x0))
                steps.append(SamplerStep(step.t, x_t, predicted))
        return self._to_images(x0), steps

    def _to_images(self, x: Tensor) -> Tensor:
        return self.spec.to_images(x).cpu()

    @torch.inference_mode()
    def _denoise(self, images: range) -> Iterator[SamplerStep]:
        """Yield the sampler's steps for the images."""
        noise = self.make_noise(images, 0)
        yield from self.sampler(self.denoiser, noise, self.timesteps, lambda i: self.make_noise(images, i + 1))


def split_range(numbers: range, size: int) -> list[range]:
    """Return parts of a range with at most `size` numbers each."""
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]
