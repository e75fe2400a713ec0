"""A diffusers pipeline for a model of Omokage. It does not import Omokage."""

from typing import Any

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from PIL import Image


class OmokagePipeline(DiffusionPipeline):  # type: ignore[misc]
    """Generates images. The component `denoiser` has the networks, the sampler and the settings of the run."""

    def __init__(self, denoiser: torch.nn.Module) -> None:
        super().__init__()
        self.register_modules(denoiser=denoiser)

    def __call__(
        self,
        batch_size: int = 1,
        seed: int | None = None,
        first: int = 0,
        num_inference_steps: int | None = None,
        sampler: str | None = None,
        guidance_scale: float | None = None,
        guidance_min_log_snr: float | None = None,
        timestep_spacing: str | None = None,
        eta: float | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> Any:
        """Return `batch_size` images: the samples of the run from number `first` on, unless a setting is given.

        `num_inference_steps` is the number of network evaluations per image, which guidance doubles. `output_type` is
        pil, np (float32 [n, h, w, 3] from 0 to 1) or pt (float32 [n, 3, h, w] from 0 to 1).
        """
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f"output_type = {output_type!r}: expected pil, np or pt")
        samples = self.denoiser.generate(
            range(first, first + batch_size),
            seed=seed,
            num_inference_steps=num_inference_steps,
            sampler=sampler,
            guidance_scale=guidance_scale,
            guidance_min_log_snr=guidance_min_log_snr,
            timestep_spacing=timestep_spacing,
            eta=eta,
        )
        images: Any = samples.float() / 255
        if output_type == "np":
            images = images.permute(0, 2, 3, 1).numpy()
        elif output_type == "pil":
            images = [Image.fromarray(sample.permute(1, 2, 0).contiguous().numpy()) for sample in samples]
        return ImagePipelineOutput(images=images) if return_dict else (images,)
