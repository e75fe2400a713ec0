"""A trained model: its weights together with all that is needed to draw from it, in one safetensors file."""

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from omokage.device import memory_format
from omokage.diffusion.schedule import Schedule
from omokage.diffusion.unet import Architecture, UNet
from omokage.errors import Refused


@dataclass(frozen=True)
class Spec:
    """What a model is, apart from its weights.

    The network sees whitened pictures, (x - mean) / std for x in [0, 1]: one mean a colour, one std for all.
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

    def noise_schedule(self) -> Schedule:
        """Return the schedule the network was trained on."""
        return Schedule.make(self.schedule, self.timesteps, self.zero_snr, self.log_snr_shift)

    def whiten(self, faces: Tensor) -> Tensor:
        """uint8 pictures [n, 3, h, w] -> float32 in the network's space."""
        return faces.to(torch.float32, copy=True).div_(255).sub_(self._mean(faces)).div_(self.std)

    def pictures(self, x: Tensor) -> Tensor:
        """The inverse of `whiten`, rounded and clipped to uint8, channels first in memory as files have them."""
        return ((x.float() * self.std + self._mean(x)) * 255).round().clamp(0, 255).to(torch.uint8).contiguous()

    def _mean(self, like: Tensor) -> Tensor:
        return torch.tensor(self.mean, device=like.device).view(1, 3, 1, 1)


def whitening(faces: Iterable[Tensor]) -> tuple[tuple[float, float, float], float]:
    """Return the mean of each colour and the standard deviation over all, of uint8 pictures given shard by shard.

    Both are for pictures scaled to [0, 1], and exact: the sums are of integers.
    """
    count, sums, squares = 0, torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)
    for shard in faces:
        values = shard.transpose(0, 1).flatten(1).long()
        count += values.shape[1]
        sums += values.sum(1)
        squares += (values * values).sum(1)
    means = sums.double() / count
    variance = (squares.double() / count - means**2).mean()
    red, green, blue = (round(float(mean) / 255, 6) for mean in means)
    return (red, green, blue), round(max(float(variance) ** 0.5 / 255, 1 / 255), 6)


def save(path: Path, network: UNet, spec: Spec) -> None:
    """Write weights (float32) and spec."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, path, metadata={"omokage": json.dumps(asdict(spec), sort_keys=True)})


def load(path: Path, device: torch.device) -> tuple[UNet, Spec]:
    """Read a model that `save` wrote; raise Refused if the file is something else."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if "omokage" not in metadata:
            raise Refused(f"{path.name} holds no omokage model: train one with `dvc repro train`")
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a file, not a dict)
    values = json.loads(metadata["omokage"])
    shape: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.pop("architecture").items()
    }
    spec = Spec(architecture=Architecture(**shape), **{**values, "mean": tuple(values["mean"])})
    network = with_weights(UNet(spec.architecture), weights)
    return network.eval().requires_grad_(False).to(device).to(memory_format=memory_format(device)), spec


def with_weights(network: UNet, weights: Mapping[str, Tensor]) -> UNet:
    """Return a copy of the network with these weights; raise Refused, naming what differs, if they do not fit."""
    mine, theirs = (
        {key: tuple(value.shape) for key, value in some.items()} for some in (network.state_dict(), weights)
    )
    if different := [key for key in sorted(mine.keys() | theirs.keys()) if mine.get(key) != theirs.get(key)]:
        key = different[0]
        raise Refused(
            f"the weights are of another architecture: {len(different)} tensors differ, the first {key} with "
            f"{theirs.get(key, 'nothing')} instead of {mine.get(key, 'nothing')}: train anew with `dvc repro train`"
        )
    other = copy.deepcopy(network)
    other.load_state_dict(weights)
    return other
