"""The schema of params.yaml: the parameters of all stages, and conditions that involve several parameters.

Of the stages, only `params` imports this module. Every other stage imports the module of its own parameters.
"""

import os
from pathlib import Path

from pydantic import model_validator

from omokage.base.parameters import Parameters
from omokage.params import (
    detect,
    download,
    evaluate,
    extractor_weights,
    faces,
    figures,
    reference,
    report,
    sample,
    train,
    transform,
)

PARTS: dict[str, type[Parameters]] = {
    "download": download.Params,
    "detect": detect.Params,
    "faces": faces.Params,
    "extractor_weights": extractor_weights.Params,
    "reference": reference.Params,
    "train": train.Params,
    "sample": sample.Params,
    "transform": transform.Params,
    "evaluate": evaluate.Params,
    "figures": figures.Params,
    "report": report.Params,
}
# (prediction, loss_weighting) whose weight has no bound, with the weight (see diffusion/objective.py).
UNBOUNDED_WEIGHTS = {
    ("eps", "truncated_snr"): "1 / SNR at high noise",
    ("x0", "truncated_snr"): "the SNR at low noise",
    ("x0", "snr"): "the SNR at low noise",
}


class Params(
    download.Params,
    detect.Params,
    faces.Params,
    extractor_weights.Params,
    reference.Params,
    train.Params,
    sample.Params,
    transform.Params,
    evaluate.Params,
    figures.Params,
    report.Params,
):
    """The parameters of all stages. Validation also checks the conditions that involve several parameters."""

    @model_validator(mode="after")
    def _check_conditions(self) -> "Params":
        self._check_network()
        self._check_step_counts()
        self._check_loss()
        if Path(self.folder).is_absolute():
            raise ValueError(
                f"folder = {self.folder!r}: expected a path relative to the main checkout, since results must not "
                f"contain a machine's path: write {os.path.relpath(self.folder)!r}"
            )
        return self

    def _check_network(self) -> None:
        coarsest = self.patch_size * 2 ** (len(self.channel_mult) - 1)
        if self.image_size % coarsest:
            raise ValueError(
                f"image_size = {self.image_size}: with patch_size = {self.patch_size} and {len(self.channel_mult)} "
                f"values in channel_mult it must be a multiple of {coarsest}"
            )
        resolutions = [self.image_size // self.patch_size // 2**level for level in range(len(self.channel_mult))]
        if absent := [side for side in self.attention_resolutions if side not in resolutions]:
            raise ValueError(f"attention_resolutions = {absent}: expected resolutions of the UNet, {resolutions}")
        if self.half_size_steps and (len(self.channel_mult) < 2 or self.channel_mult[0] != 1):
            raise ValueError(
                f"half_size_steps = {self.half_size_steps} with channel_mult = {self.channel_mult}: the steps at half "
                "the size leave the first level out; expected 1 and at least one more value, or half_size_steps = 0"
            )

    def _check_step_counts(self) -> None:
        limit = f"expected at most timesteps = {self.timesteps}, since a sampler visits each timestep once"
        for key in ("sample_steps", "transform_steps"):
            if (steps := getattr(self, key)) > self.timesteps:
                raise ValueError(f"{key} = {steps}: {limit}")
        if too_long := [entry for entry in self.sampler_study if sample.parse_study_entry(entry)[2] > self.timesteps]:
            raise ValueError(f"sampler_study = {too_long}: {limit}")
        if self.progress_samples == 1:
            raise ValueError("progress_samples = 1: expected 0, or at least 2 to compute a distance")
        if self.warmup + self.decay > 1:
            raise ValueError(f"warmup = {self.warmup} and decay = {self.decay}: expected a sum of at most 1")

    def _check_loss(self) -> None:
        if self.zero_snr and self.prediction == "eps":
            raise ValueError(
                "zero_snr = True with prediction = 'eps': at pure noise, a predicted eps does not determine the "
                "image; expected prediction v or x0"
            )
        if (reason := UNBOUNDED_WEIGHTS.get((self.prediction, self.loss_weighting))) is not None:
            raise ValueError(
                f"loss_weighting = {self.loss_weighting!r} with prediction = {self.prediction!r}: the weight of the "
                f"error would be {reason}, so a few noise levels would hold nearly all of it; expected "
                "prediction v, or loss_weighting min_snr or simple"
            )
        if self.zero_snr and self.loss_weighting in ("snr", "min_snr") and self.loss_weight_floor == 0:
            raise ValueError(
                f"zero_snr = True with loss_weighting = {self.loss_weighting!r} and loss_weight_floor = 0: pure noise "
                "would have no weight; expected loss_weight_floor above 0 or another loss_weighting"
            )
