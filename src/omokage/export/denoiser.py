"""The trained model of an exported folder, as a component of a diffusers pipeline.

It generates the samples of the stage `sample`: equal seeds and settings give equal images, up to rounding. It
needs only PyTorch and safetensors.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omokage.compute.device import choose_memory_format
from omokage.diffusion.model import ModelSpec, load_model
from omokage.diffusion.unet import UNet
from omokage.export.files import CONFIG, MODEL
from omokage.library.guidance_file import GUIDING_MODEL
from omokage.sampling.batches import choose_batch_size
from omokage.sampling.denoiser import Denoiser, make_denoiser
from omokage.sampling.generator import ImageGenerator
from omokage.sampling.guidance import apply_autoguidance
from omokage.sampling.samplers import SAMPLERS, count_timesteps, get_sampler
from omokage.sampling.spacing import SPACINGS


class OmokageDenoiser(nn.Module):
    """The network, the guiding network (None: no autoguidance), and the settings with which they generate images.

    `settings` has the values of the run: seed, sampler, num_inference_steps, guidance_scale,
    guidance_min_log_snr, timestep_spacing and eta.
    """

    def __init__(self, network: UNet, guiding: UNet | None, spec: ModelSpec, settings: dict[str, Any]) -> None:
        super().__init__()
        self.network, self.guiding, self.spec, self.settings = network, guiding, spec, settings

    @classmethod
    def from_pretrained(cls, folder: str | Path, **_: Any) -> "OmokageDenoiser":
        """Load the model of an exported folder. diffusers gives the subfolder that this module lies in.

        The weights are float32; `precision` in the model's description selects the dtype of the computation.
        """
        root, cpu = Path(folder).parent, torch.device("cpu")
        network, spec = load_model(root / MODEL, cpu)
        has_guidance = (root / GUIDING_MODEL).is_file()
        guiding = load_model(root / GUIDING_MODEL, cpu)[0] if has_guidance else None
        return cls(network, guiding, spec, json.loads((root / CONFIG).read_text(encoding="utf-8"))["sampling"])

    def generate(self, numbers: range, **changes: Any) -> Tensor:
        """Return the samples with these numbers, uint8 [n, 3, h, w], on the CPU.

        The noise of a sample depends only on the seed and its number. `changes` replace `settings`; None keeps a value.
        Raises ValueError for an unknown setting or value, or for no numbers.
        """
        settings = self.settings | {key: value for key, value in changes.items() if value is not None}
        self._check(numbers, settings)
        device = next(self.network.parameters()).device
        denoiser = self._make_denoiser(settings["guidance_scale"], settings["guidance_min_log_snr"], device)
        count = count_timesteps(settings["sampler"], settings["num_inference_steps"])
        timesteps = SPACINGS[settings["timestep_spacing"]](denoiser.schedule, count)
        generator = ImageGenerator(
            denoiser,
            self.spec,
            device,
            get_sampler(settings["sampler"], settings["eta"]),
            timesteps,
            settings["seed"],
            micro_batch=choose_batch_size(device),  # rounding can depend on it
        )
        return generator.generate(numbers)[0]

    def _make_denoiser(self, guidance_scale: float, min_log_snr: float, device: torch.device) -> Denoiser:
        layout = choose_memory_format(device)
        denoiser = make_denoiser(self.network.to(memory_format=layout), self.spec, device)
        if guidance_scale == 1 or self.guiding is None:
            return denoiser
        guiding = make_denoiser(self.guiding.to(memory_format=layout), self.spec, device)
        return apply_autoguidance(denoiser, guiding, guidance_scale, min_log_snr)

    def _check(self, numbers: range, settings: dict[str, Any]) -> None:
        if unknown := sorted(settings.keys() - self.settings.keys()):
            raise ValueError(f"{', '.join(unknown)}: expected {', '.join(self.settings)}")
        for key, choices in (("sampler", SAMPLERS), ("timestep_spacing", SPACINGS)):
            if settings[key] not in choices:
                raise ValueError(f"{key} = {settings[key]!r}: expected {', '.join(choices)}")
        if not numbers:
            raise ValueError("expected at least one image")
        if not 1 <= settings["num_inference_steps"] <= self.spec.timesteps:
            raise ValueError(
                f"num_inference_steps = {settings['num_inference_steps']}: expected 1 to {self.spec.timesteps}"
            )
        if settings["guidance_scale"] != 1 and self.guiding is None:
            raise ValueError("guidance_scale: expected 1, since this folder has no guiding model")
