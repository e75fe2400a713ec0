"""A trained model as an object: sample from it and edit images, without a checkout, DVC or Snakemake."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from omokage.base.errors import UserError
from omokage.compute.micro_batch import explain_large_batch, limit_batch, read_micro_batch
from omokage.diffusion.model import ModelSpec
from omokage.diffusion.unet import UNet
from omokage.editing.edits import apply_sdedit, decode_ddim, slerp
from omokage.editing.image_editor import make_variation_noise
from omokage.library.denoisers import make_settings_denoiser
from omokage.library.images import check_images
from omokage.library.settings import Settings, check_settings, check_timesteps
from omokage.params.sample import Sampler
from omokage.sampling.batches import MIN_EVALUATIONS_TO_COMPILE, choose_batch_size
from omokage.sampling.denoiser import Denoiser
from omokage.sampling.generator import ImageGenerator, split_range
from omokage.sampling.samplers import SamplerStep, count_timesteps, get_sampler
from omokage.sampling.spacing import SPACINGS

DEFAULT_GUIDANCE = 2.0


class Model:
    """A trained model. `omokage.load` returns one.

    - `network`: the UNet, on `device`. It computes with whitened images (see `spec.whiten` and `spec.to_images`)
    - `spec`: the description of the model (see `omokage.diffusion.model.ModelSpec`)
    - `snapshots`: the file that autoguidance needs, with the snapshots of the training, or in an exported folder with
      the guiding model; or None

    All images are uint8 [n, 3, side, side] on the CPU, where `side` is `image_size`. The options of the methods are:

    - `seed`: the noise of image number i depends only on the seed and i
    - `sampler`: ddpm, ddpm-large, ddim, dpm-solver++ or heun
    - `steps`: network evaluations per image (NFE), at most the model's number of timesteps
    - `guidance`: the autoguidance scale, 1 (none) to 10. None is 2 with snapshots, and 1 without them
    - `guidance_min_log_snr`: no guidance at noise levels with a lower log-SNR, where it shifts colours; -100: no limit
    - `spacing`: the timesteps that the sampler visits: early, trailing, leading or log-snr
    - `eta`: the noise that the sampler ddim adds per step, 0 (none) to 1
    - `batch`: how many images are processed at once. It changes the images only by rounding

    The defaults of `sample` are those of the pipeline. Methods raise UserError for options that are invalid or that the
    model cannot use.
    """

    def __init__(self, network: UNet, spec: ModelSpec, device: torch.device, snapshots: Path | None = None) -> None:
        self.network, self.spec, self.device, self.snapshots = network, spec, device, snapshots
        # Only one denoiser is kept, because each has networks of its own.
        self._get_denoiser = lru_cache(maxsize=1)(self._make_denoiser)

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.network.parameters())
        guidance = "with" if self.snapshots else "without"
        size = self.image_size
        return f"Model({size} x {size} pixels, {count:,} weights, {self.device}, {guidance} snapshots)"

    @property
    def image_size(self) -> int:
        """The side length of the images, in pixels."""
        return self.spec.architecture.image_size

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        sampler: Sampler = "ddpm",
        steps: int = 20,
        guidance: float | None = None,
        guidance_min_log_snr: float = -3.0,
        spacing: str = "early",
        eta: float = 0.0,
        start: int = 0,
        batch: int | None = None,
    ) -> Tensor:
        """Return the samples with the numbers `start` to `start + n - 1`, uint8 [n, 3, side, side]."""
        settings = self._make_settings(seed, sampler, steps, guidance, guidance_min_log_snr, spacing, eta)
        numbers = _make_range(start, n)
        return self.make_generator(settings, n, batch).generate(numbers)[0]

    def denoise_steps(
        self,
        n: int,
        *,
        seed: int = 0,
        sampler: Sampler = "ddpm",
        steps: int = 20,
        guidance: float | None = None,
        guidance_min_log_snr: float = -3.0,
        spacing: str = "early",
        eta: float = 0.0,
        start: int = 0,
        batch: int | None = None,
    ) -> list[SamplerStep]:
        """Return how the samples of `sample` with the same arguments arise: one step for each visited timestep.

        A step has `t` (the timestep), `x_t` (the noisy images) and `x0` (the clean images that are predicted from
        them), both uint8 [n, 3, side, side]. The x0 of the last step are the samples.
        """
        settings = self._make_settings(seed, sampler, steps, guidance, guidance_min_log_snr, spacing, eta)
        numbers, generator = _make_range(start, n), self.make_generator(settings, n, batch)
        return generator.generate(numbers, range(len(generator.timesteps)), n)[1]

    def edit(
        self,
        images: Tensor,
        *,
        strength: float = 0.5,
        seed: int = 0,
        sampler: Sampler = "ddpm",
        steps: int = 50,
        guidance: float | None = 1.0,
        guidance_min_log_snr: float = -3.0,
        spacing: str = "trailing",
        eta: float = 0.0,
        batch: int | None = None,
    ) -> Tensor:
        """Return a variation of each image by SDEdit: add noise, then denoise (Meng et al. 2022).

        `strength` 0 keeps the image, 1 starts from noise. Of the `steps`, this fraction is run. With the defaults, the
        result is the first variation of `omokage transform vary`.
        """
        check_images(images, self.image_size)
        if not 0 <= strength <= 1:
            raise UserError(f"strength = {strength}: expected 0 to 1")
        settings = self._make_settings(seed, sampler, steps, guidance, guidance_min_log_snr, spacing, eta)
        generator = self.make_generator(settings, len(images), batch)

        def edit_part(numbers: range) -> Tensor:
            x0 = self.spec.whiten(images[numbers.start : numbers.stop].to(self.device))
            noise = make_variation_noise(seed, 0, numbers, x0)
            timesteps, denoiser = generator.timesteps, generator.denoiser
            return apply_sdedit(denoiser, x0, strength, timesteps, generator.sampler, noise)

        return self._map("editing", edit_part, len(images), generator.micro_batch)

    def interpolate(
        self,
        seed_a: int,
        seed_b: int,
        count: int,
        *,
        steps: int = 20,
        guidance: float | None = None,
        guidance_min_log_snr: float = -3.0,
        spacing: str = "early",
        batch: int | None = None,
    ) -> Tensor:
        """Return `count` images by DDIM from noise between that of two seeds, uint8 [count, 3, side, side].

        Both ends are included. They are the first samples of the two seeds with the sampler ddim.
        """
        if count < 2:
            raise UserError(f"count = {count}: expected at least 2, since both ends are included")
        first, last = (
            self.make_generator(
                self._make_settings(seed, "ddim", steps, guidance, guidance_min_log_snr, spacing, 0.0), count, batch
            )
            for seed in (seed_a, seed_b)
        )
        ends = first.make_noise(range(1), 0), last.make_noise(range(1), 0)
        noise = slerp(*ends, torch.linspace(0, 1, count))

        def decode_part(numbers: range) -> Tensor:
            return decode_ddim(first.denoiser, noise[numbers.start : numbers.stop], first.timesteps)

        return self._map("decoding", decode_part, count, first.micro_batch)

    def make_generator(self, settings: Settings, count: int, batch: int | None = None) -> ImageGenerator:
        """Return a generator for `count` images with these settings; raise UserError if the model cannot use them."""
        check_settings(settings, self.spec, self.snapshots is not None)
        if batch is not None and batch < 1:
            raise UserError(f"batch = {batch}: expected at least 1")
        visited = count_timesteps(settings.sampler, settings.sample_steps)
        timesteps = SPACINGS[settings.timestep_spacing](self.spec.make_schedule(), visited)
        check_timesteps(self.spec, timesteps)
        # Of the settings, the denoiser depends only on those of its networks.
        key = replace(settings, sample_seed=0, sampler="", sample_steps=0, timestep_spacing="", eta=0.0)
        return ImageGenerator(
            self._get_denoiser(key, count * settings.sample_steps >= MIN_EVALUATIONS_TO_COMPILE),
            self.spec,
            self.device,
            get_sampler(settings.sampler, settings.eta),
            timesteps,
            settings.sample_seed,
            limit_batch(batch or choose_batch_size(self.device), read_micro_batch()),
        )

    def _make_denoiser(self, settings: Settings, compiled: bool) -> Denoiser:
        return make_settings_denoiser(self.network, self.spec, self.device, self.snapshots, settings, compiled)

    def _make_settings(
        self, seed: int, sampler: str, steps: int, guidance: float | None, min_log_snr: float, spacing: str, eta: float
    ) -> Settings:
        if eta and sampler != "ddim":
            raise UserError(f"eta = {eta} with sampler = {sampler!r}: only ddim uses eta")
        if guidance is None:
            guidance = DEFAULT_GUIDANCE if self.snapshots else 1.0
        return Settings(seed, sampler, steps, spacing, eta, guidance, min_log_snr)

    def _map(self, work: str, function: Callable[[range], Tensor], count: int, size: int) -> Tensor:
        """Return the images of the whitened function(numbers) of parts of at most `size` of the numbers below `count`.

        `work` is a verb for errors.
        """
        images = []
        with explain_large_batch(work, size, self.image_size):
            for numbers in split_range(range(count), size):
                with torch.inference_mode():
                    x = function(numbers)
                # Outside of inference mode, so that the caller may change the images in place.
                images.append(self.spec.to_images(x).cpu())
        return torch.cat(images)


def _make_range(start: int, count: int) -> range:
    if start < 0 or count < 1:
        raise UserError(f"n = {count}, start = {start}: expected n of at least 1, and start of at least 0")
    return range(start, start + count)
