"""Model files, and the whitening of images."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.training import CPU, have_same_weights, make_faces, make_spec

from omokage.base.errors import UserError
from omokage.data import shards
from omokage.diffusion import model
from omokage.training.trainer import create_network


def test_a_saved_model_loads_with_the_same_weights_and_spec(tmp_path: Path) -> None:
    network = create_network(make_spec(), 3)
    model.save_model(tmp_path / "model.safetensors", network, make_spec())
    loaded, spec = model.load_model(tmp_path / "model.safetensors", CPU)
    assert spec == make_spec()
    assert have_same_weights(loaded, network)


def save_model_with_header(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Save the tiny model, with the JSON value in its header replaced by what `change` returns for it."""
    network = create_network(make_spec(), 3)
    header = json.dumps(change(json.loads(json.dumps(asdict(make_spec())))))
    save_file(dict(network.state_dict()), path, metadata={model.HEADER_KEY: header})


def test_a_model_file_of_version_0_1_with_the_old_field_names_still_loads(tmp_path: Path) -> None:
    def rename_fields(header: dict[str, Any]) -> dict[str, Any]:
        shape = header["architecture"]
        old_names = {"width": "model_channels", "multipliers": "channel_mult", "blocks": "num_res_blocks"}
        old_names |= {"attention": "attention_resolutions", "patch": "patch_size"}
        for old_name, new_name in old_names.items():
            shape[old_name] = shape.pop(new_name)
        del shape["half_size_input"]
        assert shape.keys() == {"image_size", "dropout", *old_names}
        return header

    path = tmp_path / "model.safetensors"
    save_model_with_header(path, rename_fields)
    loaded, spec = model.load_model(path, CPU)
    assert spec == make_spec()
    assert have_same_weights(loaded, create_network(make_spec(), 3))


def without_patch_size(header: dict[str, Any]) -> dict[str, Any]:
    header["architecture"].pop("patch_size")
    return header


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without_patch_size, "missing fields: patch_size; unknown fields: none"),
        (lambda header: {**header, "depth": 3}, "missing fields: none; unknown fields: depth"),
        (lambda header: {**header, "architecture": None}, "the header does not describe a model of this version"),
        (lambda header: {**header, "mean": 0.5}, "the header does not describe a model of this version"),
        (lambda header: {**header, "prediction": "w"}, "prediction = 'w': expected eps, x0, v"),
        (lambda header: {**header, "schedule": ["cosine"]}, "the header does not describe a model of this version"),
        (lambda header: [header], "the header does not describe a model of this version"),
    ],
    ids=[
        "missing field",
        "unknown field",
        "no architecture",
        "number instead of a list",
        "unknown prediction",
        "list instead of a name",
        "list instead of fields",
    ],
)
def test_a_model_file_with_an_unreadable_header_is_an_error_that_names_the_file(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], problem: str
) -> None:
    path = tmp_path / "model.safetensors"
    save_model_with_header(path, change)
    with pytest.raises(UserError, match=rf"model\.safetensors: .*{problem}.*: train a new model"):
        model.load_model(path, CPU)


def test_a_file_that_is_no_model_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"other\.safetensors does not contain an Omokage model: train a new model"):
        model.load_model(path, CPU)
    path.write_text("This is no safetensors file, but long enough to have a header.")
    with pytest.raises(UserError, match=r"other\.safetensors is not a safetensors file .*: train a new model"):
        model.load_model(path, CPU)


def test_weights_of_another_architecture_are_an_error_that_names_the_file_and_the_first_tensor(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model.save_model(path, create_network(make_spec(), 3), make_spec())
    weights, spec = load_file(path), json.dumps(asdict(make_spec()))
    weights["first.weight"] = weights["first.weight"][:8]
    save_file(weights, path, metadata={model.HEADER_KEY: spec})
    message = r"model\.safetensors belong to a different architecture: 1 tensors .*weight: .* got \(8, 12, 3, 3\)"
    with pytest.raises(UserError, match=message):
        model.load_model(path, CPU)


def test_whitening_gives_zero_mean_and_unit_variance_and_is_reversible(tmp_path: Path) -> None:
    shards.write_faces(tmp_path, "train", iter(make_faces(40)))
    mean, std = model.compute_whitening(shards.iterate_shards(tmp_path, "train"))
    spec = replace(make_spec(), mean=mean, std=std)
    whitened = spec.whiten(make_faces(40))
    assert whitened.mean((0, 2, 3)).abs().max() < 1e-4
    variance = float(((whitened - whitened.mean((0, 2, 3), keepdim=True)) ** 2).mean())
    assert variance == pytest.approx(1, abs=1e-3)
    assert torch.equal(spec.to_images(whitened), make_faces(40))
