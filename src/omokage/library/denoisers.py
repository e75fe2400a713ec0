"""Make the denoiser of a model from its network, and from the snapshots of its training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from omokage.base.errors import UserError
from omokage.diffusion import posthoc_ema
from omokage.diffusion.model import ModelSpec, copy_with_weights, load_model
from omokage.diffusion.unet import UNet
from omokage.library.guidance_file import GUIDING_MODEL
from omokage.library.settings import Settings
from omokage.sampling.denoiser import Denoiser, make_denoiser
from omokage.sampling.guidance import make_guided_denoiser


def make_settings_denoiser(
    network: UNet, spec: ModelSpec, device: torch.device, snapshots: Path | None, settings: Settings, compiled: bool
) -> Denoiser:
    """Return the denoiser of the network with the EMA and the autoguidance of `settings`.

    `snapshots` is the file with the snapshots of the training, or with the guiding model of an exported folder, or None
    if the settings need none. Raises UserError if the file has no weights of this network, or none that give the EMA.
    """
    if snapshots is None or not settings.needs_snapshots:
        return make_denoiser(network, spec, device, compiled)
    with _explain_damage(snapshots):
        if settings.ema_kind == "posthoc":
            posthoc_ema.check_sigma_rel(snapshots, settings.ema_sigma_rel)
            network = copy_with_weights(network, posthoc_ema.synthesise_ema(snapshots, settings.ema_sigma_rel))
        if settings.guidance_scale == 1:
            return make_denoiser(network, spec, device, compiled)
        guiding = _load_guiding_weights(snapshots, settings.guidance_snapshot)
        scale, min_log_snr = settings.guidance_scale, settings.guidance_min_log_snr
        return make_guided_denoiser(network, guiding, scale, min_log_snr, spec, device, compiled)


def _load_guiding_weights(path: Path, fraction: float) -> Mapping[str, Tensor]:
    """Return the weights of the snapshot nearest to a fraction of the training, or of the only guiding model."""
    if path.name == Path(GUIDING_MODEL).name:
        return load_model(path, torch.device("cpu"))[0].state_dict()
    return posthoc_ema.load_nearest_snapshot(path, fraction)


@contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    """Raise UserError in the block for a file that does not hold snapshots."""
    try:
        yield
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} does not hold the snapshots of a training ({' '.join(str(error).split())}): use guidance 1, or "
            "fetch the file again"
        ) from error
