"""Features of real faces on file, and which real faces stand for all."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from omokage.errors import Refused
from omokage.evaluation.features import Extractor


def spread(count: int, n: int) -> Tensor:
    """Return min(n, count) different indices, int64, spread evenly over range(count)."""
    n = min(n, count)
    return torch.arange(n) * count // max(n, 1)


def representatives(split: str, count: int, n: int) -> Tensor:
    """Return which min(n, count) faces of a split stand for all, int64: the first held-out ones, train faces spread."""
    return torch.arange(min(n, count)) if split == "held_out" else spread(count, n)


def write(path: Path, features: Tensor, extractor: Extractor) -> None:
    """Write features [n, d] together with the name and the weights' digest of their extractor."""
    # One key: safetensors writes several in an order that changes from run to run.
    save_file({"features": features.contiguous()}, path, metadata={"omokage": _identity(extractor)})


def read(path: Path, extractor: Extractor) -> Tensor:
    """Read features, float32 [n, d]; raise Refused if another extractor, or other weights, made them."""
    with safe_open(path, framework="pt") as file:
        made_by = (file.metadata() or {}).get("omokage")
        if made_by != _identity(extractor):
            raise Refused(
                f"{path.name} holds features from {made_by}: expected {_identity(extractor)}, which the samples are "
                "judged with: run `dvc repro --force --single-item reference`, then `dvc repro`"
            )
        features: Tensor = file.get_tensor("features")
    return features


def _identity(extractor: Extractor) -> str:
    return json.dumps({"extractor": extractor.name, "weights_sha256": extractor.weights_sha256})
