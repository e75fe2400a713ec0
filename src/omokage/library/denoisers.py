"""Make the denoiser of a model from its network, and from the snapshots of its training."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from omokage.base.errors import UserError
from omokage.diffusion import posthoc_ema
from omokage.diffusion.model import ModelSpec, copy_with_weights
from omokage.diffusion.unet import UNet
from omokage.library.settings import Settings
from omokage.sampling.denoiser import Denoiser, make_denoiser
from omokage.sampling.guidance import make_guided_denoiser


def make_settings_denoiser(
    network: UNet, spec: ModelSpec, device: torch.device, snapshots: Path | None, settings: Settings, compiled: bool
) -> Denoiser:
    """Return the denoiser of the network with the EMA and the autoguidance of `settings`.

    `snapshots` is the file with the snapshots of the training, or None if the settings need none. Raises UserError if
    the file has no snapshots of this network, or none that give the EMA.
    """
    if snapshots is None or not settings.needs_snapshots:
        return make_denoiser(network, spec, device, compiled)
    with _explain_damage(snapshots):
        if settings.ema_kind == "posthoc":
            posthoc_ema.check_sigma_rel(snapshots, settings.ema_sigma_rel)
            network = copy_with_weights(network, posthoc_ema.synthesise_ema(snapshots, settings.ema_sigma_rel))
        if settings.guidance_scale == 1:
            return make_denoiser(network, spec, device, compiled)
        guiding = posthoc_ema.load_nearest_snapshot(snapshots, settings.guidance_snapshot)
        scale, min_log_snr = settings.guidance_scale, settings.guidance_min_log_snr
        return make_guided_denoiser(network, guiding, scale, min_log_snr, spec, device, compiled)


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
