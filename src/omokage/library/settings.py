"""The settings with which a model generates images, and the check that a model can use them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from omokage.base.errors import UserError
from omokage.diffusion.model import ModelSpec
from omokage.sampling.samplers import SAMPLERS
from omokage.sampling.spacing import SPACINGS

EMA_KINDS = ("ema", "posthoc")
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Settings:
    """How to generate images: the parameters of the stage `sample` on which a sample depends.

    docs/reference/parameters.md explains them. `sample_steps` is the number of network evaluations per image (NFE).
    """

    sample_seed: int
    sampler: str
    sample_steps: int
    timestep_spacing: str
    eta: float
    guidance_scale: float
    guidance_min_log_snr: float
    guidance_snapshot: float = 0.5
    ema_kind: str = "ema"
    ema_sigma_rel: float = 0.1

    @classmethod
    def select(cls, params: dict[str, Any]) -> "Settings":
        """Return the settings among the parameters of the stage `sample`."""
        return cls(**{field.name: params[field.name] for field in fields(cls)})

    def list_relevant(self) -> dict[str, Any]:
        """Return the settings by name, without those that have no effect because of the others."""
        irrelevant = set()
        if self.sampler != "ddim":
            irrelevant.add("eta")
        if self.guidance_scale == 1:
            irrelevant |= {"guidance_snapshot", "guidance_min_log_snr"}
        if self.ema_kind != "posthoc":
            irrelevant.add("ema_sigma_rel")
        return {key: value for key, value in asdict(self).items() if key not in irrelevant}

    @property
    def needs_snapshots(self) -> bool:
        """Whether the settings need the snapshots of the training: autoguidance and post-hoc EMA do."""
        return self.guidance_scale != 1 or self.ema_kind == "posthoc"


def check_settings(settings: Settings, spec: ModelSpec, has_snapshots: bool) -> None:
    """Raise UserError if the settings are invalid, or if a model with this spec cannot use them."""
    _check_choice("sampler", settings.sampler, SAMPLERS)
    _check_choice("spacing", settings.timestep_spacing, SPACINGS)
    _check_choice("ema_kind", settings.ema_kind, EMA_KINDS)
    if settings.sample_steps > spec.timesteps:
        raise UserError(
            f"{settings.sample_steps} steps: expected at most {spec.timesteps}, the model's number of timesteps"
        )
    _check_range("steps", settings.sample_steps, 1, spec.timesteps)
    _check_range("seed", settings.sample_seed, 0, MAX_SEED)
    _check_range("eta", settings.eta, 0, 1)
    _check_range("guidance", settings.guidance_scale, 1, 10)
    _check_range("guidance_min_log_snr", settings.guidance_min_log_snr, -100, 100)
    if settings.needs_snapshots and not has_snapshots:
        need = f"guidance = {settings.guidance_scale:g}" if settings.guidance_scale != 1 else "ema_kind = 'posthoc'"
        remedy = "use guidance 1" if settings.ema_kind == "ema" else "use guidance 1 and ema_kind ema"
        raise UserError(
            f"{need} needs the snapshots of the training: put snapshots.safetensors next to the model, or {remedy}"
        )


def check_timesteps(spec: ModelSpec, timesteps: Sequence[int]) -> None:
    """Raise UserError if the network predicts eps and a timestep is pure noise, where eps determines no image."""
    schedule = spec.make_schedule()
    if spec.prediction == "eps" and (noise := [t for t in timesteps if float(schedule.alpha[t]) == 0]):
        raise UserError(
            f"the model predicts eps, and its schedule has zero SNR at timestep {noise[0]}, where eps determines no "
            "image: use the spacing leading, or a model that predicts v or x0"
        )


def _check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise UserError(f"{name} = {value!r}: expected {', '.join(choices)}")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UserError(f"{name} = {value}: expected {low} to {high}")
