"""A training that starts from another model, and the EMA with the lowest held-out error."""

import os
import re
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.training import make_spec, train_tiny
from torch import Tensor

from omokage.base.errors import Interrupted, UserError
from omokage.diffusion.model import ModelSpec, save_model
from omokage.diffusion.unet import UNet
from omokage.training.initial_model import load_initial_weights
from omokage.training.trainer import Probe, Row, create_network

pytestmark = pytest.mark.usefixtures("use_one_thread")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The file of a model with random weights of another seed."""
    save_model(tmp_path / "model.safetensors", create_network(make_spec(), 3), make_spec())
    return tmp_path / "model.safetensors"


def copy_weights(network: UNet) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_the_training_and_its_averages_start_with_the_weights_of_the_model(model: Path, tmp_path: Path) -> None:
    weights = load_initial_weights(model, make_spec(), "model.safetensors")
    # The learning rate is so small that the weights hardly move.
    result = train_tiny(tmp_path / "work", weights=weights, lr=1e-30, steps=2)
    random = train_tiny(tmp_path / "random", lr=1e-30, steps=2)
    assert all(torch.allclose(tensor, weights[name]) for name, tensor in result.network.state_dict().items())
    for snapshot in result.snapshots:
        assert torch.equal(snapshot.weights["first.weight"], weights["first.weight"].half())
    assert not torch.allclose(random.network.state_dict()["first.weight"], weights["first.weight"])


def test_a_second_training_goes_on_where_the_first_has_ended(tmp_path: Path) -> None:
    rows: list[Row] = []
    trained = train_tiny(tmp_path / "first", rows.append, steps=40, lr=3e-3, log_every=5)
    save_model(tmp_path / "model.safetensors", trained.network, make_spec())
    weights = load_initial_weights(tmp_path / "model.safetensors", make_spec(), "model.safetensors")
    train_tiny(tmp_path / "second", rows.append, weights=weights, steps=5, lr=3e-3, log_every=5)
    assert rows[-1]["step"] == 5 and rows[-1]["loss"] < 0.85 * rows[0]["loss"]


def change_spec(**changes: Any) -> ModelSpec:
    """Return the spec of the tiny model with other values of its fields or of its architecture's."""
    spec = make_spec()
    own = {key: value for key, value in changes.items() if hasattr(spec, key)}
    shape = {key: value for key, value in changes.items() if key not in own}
    return replace(spec, architecture=replace(spec.architecture, **shape), **own)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model_channels": 24}, "model_channels is 16, expected 24"),
        ({"channel_mult": (1, 1)}, "channel_mult is (1, 2), expected (1, 1)"),
        ({"image_size": 32}, "image_size is 16, expected 32"),
        ({"attention_resolutions": ()}, "attention_resolutions is (4,), expected ()"),
        ({"prediction": "eps"}, "prediction is v, expected eps"),
        ({"schedule": "linear"}, "schedule is cosine, expected linear"),
        ({"log_snr_shift": 1.4}, "log_snr_shift is 0.0, expected 1.4"),
        ({"zero_snr": True}, "zero_snr is False, expected True"),
        ({"timesteps": 100}, "timesteps is 50, expected 100"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_the_field_and_both_values(
    model: Path, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(UserError, match=re.escape(f"init_from = 'm': {field} as in this run: set ")) as error:
        load_initial_weights(model, change_spec(**changes), "m")
    assert "\n" not in str(error.value)


def test_dropout_precision_and_whitening_may_differ(model: Path) -> None:
    other = change_spec(dropout=0.3, precision="bf16", mean=(0.1, 0.2, 0.3), std=0.7)
    assert load_initial_weights(model, other, "m").keys() == create_network(make_spec(), 0).state_dict().keys()


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no model")
    (tmp_path / "empty").touch()
    save_file({"weight": torch.zeros(3)}, tmp_path / "foreign")
    (tmp_path / "folder").mkdir()
    for name, problem in (
        ("text", "is not a safetensors file"),
        ("empty", "is not a safetensors file"),
        ("foreign", "does not contain an Omokage model"),
        ("folder", "is not a file"),
        ("absent", "is not a file"),
    ):
        with pytest.raises(UserError, match=f"init_from = 'm': {name} {problem}") as error:
            load_initial_weights(tmp_path / name, make_spec(), "m")
        message = str(error.value)
        assert message.endswith(": expected a copy of the results/model.safetensors of a run") and "\n" not in message


def make_scripted_probe(errors: Iterable[float], seen: list[dict[str, Tensor]]) -> Probe:
    """Return a probe that returns the errors one after the other, and adds the weights of each network to `seen`."""
    remaining = iter(errors)

    def probe(network: UNet) -> Row:
        seen.append(copy_weights(network))
        return {"held_out": next(remaining)}

    return probe


@pytest.mark.parametrize(("errors", "best"), [((3, 1, 2, 1), 1), ((4, 3, 2, 1), 3)])
def test_the_average_with_the_lowest_held_out_error_is_kept(tmp_path: Path, errors: tuple[int, ...], best: int) -> None:
    seen: list[dict[str, Tensor]] = []
    probe = make_scripted_probe(errors, seen)
    result = train_tiny(tmp_path, probe=probe, keep_best=True, steps=4, log_every=1)
    assert result.step == best + 1 and len(seen) == 4
    assert all(torch.equal(tensor, seen[best][name]) for name, tensor in result.network.state_dict().items())
    plain = train_tiny(tmp_path / "plain", probe=make_scripted_probe(errors, []), steps=4, log_every=1)
    assert plain.step == 4
    assert all(torch.equal(tensor, seen[-1][name]) for name, tensor in plain.network.state_dict().items())


def test_a_resumed_training_keeps_the_same_average(tmp_path: Path, model: Path) -> None:
    weights = load_initial_weights(model, make_spec(), "m")

    def train(name: str, errors: tuple[int, ...], stop: bool = False) -> bytes:
        def log(row: Row) -> None:
            if stop and row["step"] == 4:
                os.kill(os.getpid(), signal.SIGTERM)

        probe = make_scripted_probe(errors, [])
        result = train_tiny(tmp_path / name, log, probe=probe, weights=weights, keep_best=True, steps=6, log_every=1)
        assert result.step == 2
        save_model(tmp_path / "result", result.network, make_spec())
        return (tmp_path / "result").read_bytes()

    expected = train("uninterrupted", (3, 1, 2, 5, 4, 6))
    with pytest.raises(Interrupted, match="stopped after step 4"):
        train("interrupted", (3, 1, 2, 5), stop=True)
    assert train("interrupted", (4, 6)) == expected
