"""Save and load a trained model: one safetensors file with the weights and a ModelSpec.

A ModelSpec holds everything else that sampling needs to know about the model.
"""

import copy
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from omokage.base.errors import UserError
from omokage.compute.device import choose_memory_format
from omokage.diffusion.objective import PREDICTIONS
from omokage.diffusion.schedule import SCHEDULES, Schedule
from omokage.diffusion.unet import Architecture, UNet

HEADER_KEY = "omokage"
# Names in model files of version 0.1 -> fields of Architecture.
RENAMED_FIELDS = {
    "width": "model_channels",
    "multipliers": "channel_mult",
    "blocks": "num_res_blocks",
    "attention": "attention_resolutions",
    "patch": "patch_size",
}
# The values that some fields of a model's description may have.
CHOICES: dict[str, Collection[str]] = {
    "prediction": PREDICTIONS,
    "schedule": SCHEDULES,
    "precision": ("auto", "bf16", "fp32"),
}
REMEDY = "train a new model with `dvc repro train`"


@dataclass(frozen=True)
class ModelSpec:
    """The description of a model without its weights.

    The network is trained on whitened images: (x - mean) / std for an image x in [0, 1]. There is one mean per colour
    channel, and one std for all channels. `prediction` is eps, x0 or v, and `precision` is auto, bf16 or fp32. For the
    schedule's fields see Schedule.make.
    """

    architecture: Architecture
    prediction: str
    schedule: str
    timesteps: int
    zero_snr: bool
    log_snr_shift: float
    precision: str
    mean: tuple[float, float, float]
    std: float

    def make_schedule(self) -> Schedule:
        """Return the noise schedule that the network was trained on."""
        return Schedule.make(self.schedule, self.timesteps, self.zero_snr, self.log_snr_shift)

    def whiten(self, images: Tensor) -> Tensor:
        """Return the uint8 images [n, 3, h, w] whitened, as float32."""
        return images.to(torch.float32, copy=True).div_(255).sub_(self._mean_on(images.device)).div_(self.std)

    def to_images(self, x: Tensor) -> Tensor:
        """Return the uint8 images of whitened x [n, 3, h, w]: rounded, clipped to 0 to 255, and contiguous."""
        return (
            ((x.float() * self.std + self._mean_on(x.device)) * 255).round().clamp(0, 255).to(torch.uint8).contiguous()
        )

    def _mean_on(self, device: torch.device) -> Tensor:
        return torch.tensor(self.mean, device=device).view(1, 3, 1, 1)


def compute_whitening(shards: Iterable[Tensor]) -> tuple[tuple[float, float, float], float]:
    """Return the mean of each colour channel and the common standard deviation, for pixel values in [0, 1].

    `shards` yields uint8 images [n, 3, h, w]. The variance is averaged over the channels. The sums are of integers, so
    the result does not depend on how the images are split into shards.
    """
    count, sums, squares = 0, torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)
    for shard in shards:
        values = shard.transpose(0, 1).flatten(1).long()
        count += values.shape[1]
        sums += values.sum(1)
        squares += (values * values).sum(1)
    means = sums.double() / count
    variance = (squares.double() / count - means**2).mean()
    red, green, blue = (round(float(mean) / 255, 6) for mean in means)
    return (red, green, blue), round(max(float(variance) ** 0.5 / 255, 1 / 255), 6)


def save_model(path: Path, network: UNet, spec: ModelSpec) -> None:
    """Write the network's weights as float32, and the spec as JSON in the header of the file."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, path, metadata={HEADER_KEY: json.dumps(asdict(spec), sort_keys=True)})


def load_model(path: Path, device: torch.device) -> tuple[UNet, ModelSpec]:
    """Return the network and the spec from a file written by `save_model`.

    The network is on `device`, in evaluation mode. Raises UserError if the file is not in the safetensors format, if
    its header does not describe a model, or if its weights do not fit the description.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a file, not a dict)
    except SafetensorError as error:
        raise UserError(f"{path.name} is not a safetensors file ({error}): {REMEDY}") from error
    if header is None:
        raise UserError(f"{path.name} does not contain an Omokage model: {REMEDY}")
    spec = _parse_spec(header, path.name)
    network = copy_with_weights(UNet(spec.architecture), weights, path.name)
    return network.eval().requires_grad_(False).to(device).to(memory_format=choose_memory_format(device)), spec


def _parse_spec(header: str, name: str) -> ModelSpec:
    """Parse `header`, the JSON text from the header of the file `name`, and return the model spec.

    Raises UserError if fields are missing or unknown, or have unknown values.
    """
    try:
        values = json.loads(header)
        _check_fields(ModelSpec, values)
        for key, choices in CHOICES.items():
            if values[key] not in choices:
                raise ValueError(f"{key} = {values[key]!r}: expected {', '.join(choices)}")
        shape: dict[str, Any] = {
            RENAMED_FIELDS.get(key, key): tuple(value) if isinstance(value, list) else value
            for key, value in values["architecture"].items()
        }
        _check_fields(Architecture, shape)
        return ModelSpec(**{**values, "architecture": Architecture(**shape), "mean": tuple(values["mean"])})
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{name}: the header does not describe a model of this version ({error}): {REMEDY}") from error


def _check_fields(description: type[Architecture] | type[ModelSpec], values: Mapping[str, Any]) -> None:
    """Raise ValueError unless the keys of `values` are the fields of the dataclass `description`.

    Fields with a default may be missing: models of older versions do not have them.
    """
    expected = {field.name for field in fields(description)}
    required = {field.name for field in fields(description) if field.default is MISSING}
    missing, unknown = sorted(required - values.keys()), sorted(values.keys() - expected)
    if missing or unknown:
        raise ValueError(
            f"missing fields: {', '.join(missing) or 'none'}; unknown fields: {', '.join(unknown) or 'none'}"
        )


def copy_with_weights(network: UNet, weights: Mapping[str, Tensor], source: str = "the snapshot") -> UNet:
    """Return a copy of the network with `weights` as its weights.

    `source` is the origin of the weights, for messages. Raises UserError if they belong to a different architecture.
    """
    expected, given = (
        {key: tuple(value.shape) for key, value in tensors.items()} for tensors in (network.state_dict(), weights)
    )
    if different := [key for key in sorted(expected.keys() | given.keys()) if expected.get(key) != given.get(key)]:
        key = different[0]
        raise UserError(
            f"the weights of {source} belong to a different architecture: {len(different)} tensors differ, first "
            f"{key}: expected shape {expected.get(key, 'none')}, got {given.get(key, 'none')}: {REMEDY}"
        )
    copied = copy.deepcopy(network)
    copied.load_state_dict(weights)
    return copied
