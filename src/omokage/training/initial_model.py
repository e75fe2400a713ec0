"""Load the model from which a training starts, and check that it fits the training."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omokage.base.errors import UserError
from omokage.diffusion.model import REMEDY, ModelSpec, load_model

# What may differ: dropout has no weights, and precision only rounds. Images are whitened with the statistics of the new
# training set, since the network was trained on inputs of mean 0 and variance 1.
FREE_FIELDS = ("dropout", "precision", "mean", "std")
# Fields that follow from a parameter with another name.
PARAMETERS = {"half_size_input": "half_size_steps (0 for False)"}


def load_initial_weights(path: Path, spec: ModelSpec, name: str) -> Mapping[str, Tensor]:
    """Return the weights, float32 on the CPU, in the model file at `path` for a training of a model with the `spec`.

    `name` is the value of the parameter `init_from`. Raises UserError if the file is no model of this version, or if
    its architecture, prediction or noise schedule differs from that of `spec`.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path.name} is not a file")
        network, loaded = load_model(path, torch.device("cpu"))
    except UserError as error:
        problem = str(error).removesuffix(f": {REMEDY}")
        raise UserError(
            f"init_from = {name!r}: {problem}: expected a copy of the results/model.safetensors of a run"
        ) from error
    given, expected = _list_fields(loaded), _list_fields(spec)
    for field, value in expected.items():
        if given[field] != value:
            raise UserError(
                f"init_from = {name!r}: {field} is {given[field]}, expected {value} as in this run: set "
                f"{PARAMETERS.get(field, field)} in params.yaml to that of the model, or choose another model"
            )
    return network.state_dict()


def _list_fields(spec: ModelSpec) -> dict[str, Any]:
    """Return the fields of a model that must be the same, those of the architecture first."""
    values = asdict(spec)
    return {key: value for key, value in (values.pop("architecture") | values).items() if key not in FREE_FIELDS}
