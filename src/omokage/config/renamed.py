"""Former names of parameters and stages, used to read the files and experiments of older versions."""

from collections.abc import Mapping
from typing import Any

# Old name -> current name. All of them changed in version 0.2.0.
PARAMETERS = {
    "width": "model_channels",
    "multipliers": "channel_mult",
    "blocks": "num_res_blocks",
    "attention": "attention_resolutions",
    "patch": "patch_size",
    "weighting": "loss_weighting",
    "weight_floor": "loss_weight_floor",
    "weights": "ema_kind",
    "ema_length": "ema_sigma_rel",
    "guidance": "guidance_scale",
    "guide": "guidance_snapshot",
    "spacing": "timestep_spacing",
    "study": "sampler_study",
    "frames": "denoising_frames",
}
STAGES = {"weights": "extractor_weights"}


def rename_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values`, by parameter, with old names of parameters replaced by the current ones."""
    return {PARAMETERS.get(key, key): value for key, value in values.items()}


def rename_runs(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return run records, by stage, with old names of stages and parameters replaced by the current ones.

    If a stage has one record under its old name and one under its current name, the old record is left out.
    """
    return {
        STAGES.get(stage, stage): {**run, "params": rename_parameters(run["params"])}
        for stage, run in runs.items()
        if STAGES.get(stage) not in runs
    }
