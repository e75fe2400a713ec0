"""Choose the real faces whose features are computed, and write and read files of features."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from omokage.base.errors import UserError
from omokage.evaluation.features.extractors import Extractor


def spread_indices(count: int, n: int) -> Tensor:
    """Return min(n, count) distinct indices, int64, spread evenly over range(count)."""
    n = min(n, count)
    return torch.arange(n) * count // max(n, 1)


def choose_representatives(split: str, count: int, n: int) -> Tensor:
    """Return the indices, int64, of min(n, count) faces that represent a split of `count` faces.

    From the split `held_out` the first faces are chosen. From the split `train` the faces are spread evenly over it.
    """
    return torch.arange(min(n, count)) if split == "held_out" else spread_indices(count, n)


def write_features(path: Path, features: Tensor, extractor: Extractor) -> None:
    """Write features [n, d] to a safetensors file, with the extractor's name and weights sha256 as metadata."""
    # A single metadata key, because safetensors writes several keys in an order that changes from run to run.
    save_file({"features": features.contiguous()}, path, metadata={"omokage": _describe(extractor)})


def read_features(path: Path, extractor: Extractor) -> Tensor:
    """Return the features, float32 [n, d], in a file that write_features wrote.

    Raises UserError if the file holds the features of a different extractor or of different weights.
    """
    with safe_open(path, framework="pt") as file:
        recorded = (file.metadata() or {}).get("omokage")
        if recorded != _describe(extractor):
            raise UserError(
                f"{path.name} holds features from {recorded}, expected {_describe(extractor)} as for the samples: run "
                "`dvc repro --force --single-item reference`, then `dvc repro`"
            )
        features: Tensor = file.get_tensor("features")
    return features


def _describe(extractor: Extractor) -> str:
    return json.dumps({"extractor": extractor.name, "weights_sha256": extractor.weights_sha256})
