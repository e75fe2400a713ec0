"""Training: repeatable, and honest about what it cannot do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from omokage import model, posthoc
from omokage.data import shards
from omokage.diffusion.random import generator
from omokage.diffusion.unet import Architecture, UNet
from omokage.errors import Refused
from omokage.training import loop
from omokage.training.ahead import Ahead
from omokage.training.batches import Batch, Batches, stratified_steps
from omokage.training.ema import Average, half_life
from omokage.training.probe import held_out_loss
from omokage.training.recipe import Recipe

CPU = torch.device("cpu")


def faces(count: int = 24) -> Tensor:
    """Pictures of four random colours each: enough to learn from."""
    colours = torch.randint(0, 256, (count, 3, 2, 2), dtype=torch.uint8, generator=generator(0, "faces"))
    return colours.repeat_interleave(8, -1).repeat_interleave(8, -2)


def spec(dropout: float = 0.1, prediction: str = "v") -> model.Spec:
    mean, std = model.whitening([faces()])
    shape = Architecture(16, 16, (1, 2), 1, (4,), dropout, 2)
    return model.Spec(shape, prediction, "cosine", 50, False, 0.0, "fp32", mean, std)


def recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {"lr": 1e-3, "warmup": 0.1, "decay": 0.5, "batch_size": 8, "steps": 12}
    values |= {"optimiser": "muon", "weighting": "simple", "min_snr_gamma": 5.0, "weight_floor": 0.0}
    values |= {"ema_half_life": 32.0, "grad_clip": 1.0, "flip": True, "seed": 0, "log_every": 3}
    return Recipe(**{**values, **changes})


def train(work: Path, log: list[loop.Row], **changes: Any) -> UNet:
    return loop.train(faces(), spec(), recipe(**changes), loop.Machine(CPU, torch.float32), work, log.append).network


def same(one: UNet, other: UNet) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_seed_gives_one_model_and_another_seed_another(tmp_path: Path) -> None:
    first = train(tmp_path / "a", [])
    torch.rand(7)
    assert same(first, train(tmp_path / "b", []))
    assert not same(first, train(tmp_path / "c", [], seed=1))
    assert not same(first, train(tmp_path / "d", [], lr=2e-3))


def test_training_learns(tmp_path: Path) -> None:
    log: list[loop.Row] = []
    train(tmp_path, log, steps=150, lr=3e-3, log_every=15)
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]


@pytest.mark.parametrize(("lr", "steps"), [(1e30, 30), (1e38, 1)], ids=["after some steps", "in the last step"])
def test_a_model_that_is_no_number_is_never_made(tmp_path: Path, lr: float, steps: int) -> None:
    with pytest.raises(Refused, match=r"is no number, or the loss above 1000, at step \d+ with lr = 1e\+\d+: lower lr"):
        train(tmp_path, [], lr=lr, steps=steps, warmup=0.0, grad_clip=1e30, optimiser="adamw")


def test_some_rows_have_the_loss_of_held_out_faces_without_noise_of_its_own(tmp_path: Path) -> None:
    log: list[loop.Row] = []
    machine = loop.Machine(CPU, torch.float32)
    probe = held_out_loss(spec(), faces(64), machine, 0)
    loop.train(faces(), spec(), recipe(steps=60, lr=3e-3, log_every=2), machine, tmp_path, log.append, probe)
    found = {row["step"]: row["held_out"] for row in log if "held_out" in row}
    assert len(found) == loop.PROBED and max(found) == 60
    # The faces are those trained on, so what differs is noise and the number of pictures.
    assert found[60] == pytest.approx(sum(row["loss"] for row in log[-8:]) / 8, rel=0.25)
    network = loop.new_network(spec(), 3)
    assert probe(network) == probe(network) == held_out_loss(spec(), faces(64), machine, 0)(network)


def test_a_short_training_has_it_in_every_row() -> None:
    assert loop.probed(recipe(steps=6, log_every=2)) == {2, 4, 6}
    assert loop.probed(recipe(steps=3, log_every=10)) == {3}


def test_fewer_faces_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="batch_size = 25, but there are only 24 faces"):
        train(tmp_path, [], batch_size=25)


def test_an_epoch_visits_every_face_once() -> None:
    marked = torch.arange(24, dtype=torch.uint8).view(24, 1, 1, 1).expand(24, 3, 16, 16).contiguous()
    batches = Batches(marked, spec(), recipe(flip=False, batch_size=7))
    seen = torch.cat([spec().pictures(batches.faces_at(step))[:, 0, 0, 0] for step in range(24)]).view(7, 24)
    assert all(sorted(epoch.tolist()) == list(range(24)) for epoch in seen)
    assert len({tuple(epoch.tolist()) for epoch in seen}) == 7
    later = Batches(marked, spec(), recipe(flip=False, batch_size=7))
    assert torch.equal(later.faces_at(17), batches.faces_at(17))


def test_the_learning_rate_rises_stays_and_falls() -> None:
    lrs = [recipe(steps=100, lr=1.0).lr_at(step) for step in range(100)]
    assert lrs[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert lrs[10:50] == [1.0] * 40
    assert lrs[-1] == pytest.approx(0.02)


def test_stratified_steps_cover_the_schedule() -> None:
    t = stratified_steps(50, 1000, generator(0, "t"))
    assert sorted((t // 20).tolist()) == list(range(50))


def test_the_average_forgets_its_start_and_ends_between_old_and_new() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, -50.0)
    ema = Average(layer, half_life(10))
    torch.nn.init.constant_(layer.weight, 1.0)
    for step in range(1, 101):
        ema.update(step)
    assert ema.decay(1000) == pytest.approx(0.5**0.1)
    assert float(ema.model.weight.detach()) == pytest.approx(1.0, abs=0.1)
    torch.nn.init.constant_(layer.weight, 2.0)
    for step in range(101, 111):
        ema.update(step)
    assert float(ema.model.weight.detach()) == pytest.approx(1.5, abs=0.05)


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    network = loop.new_network(spec(), 3)
    model.save(tmp_path / "model.safetensors", network, spec())
    loaded, its_spec = model.load(tmp_path / "model.safetensors", CPU)
    assert its_spec == spec()
    assert same(loaded, network)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(Refused, match="holds no omokage model"):
        model.load(tmp_path / "other.safetensors", CPU)


def test_whitening_gives_zero_mean_and_unit_spread_and_can_be_undone(tmp_path: Path) -> None:
    shards.write(tmp_path, "train", iter(faces(40)))
    mean, std = model.whitening(shards.each(tmp_path, "train"))
    its_spec = replace(spec(), mean=mean, std=std)
    white = its_spec.whiten(faces(40))
    assert white.mean((0, 2, 3)).abs().max() < 1e-4
    assert float(((white - white.mean((0, 2, 3), keepdim=True)) ** 2).mean()) == pytest.approx(1, abs=1e-3)
    assert torch.equal(its_spec.pictures(white), faces(40))


def test_batches_made_ahead_are_those_made_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batch, "pinned", lambda batch: batch)
    in_turn = Batches(faces(), spec(), recipe())
    ahead = Ahead(Batches(faces(), spec(), recipe()))
    for step in (0, 1, 2, 3, 9, 10):
        made, wanted = ahead.at(step), in_turn.at(step)
        for name in ("x0", "noise", "t", "keys"):
            assert torch.equal(getattr(made, name), getattr(wanted, name)), (step, name)


@pytest.mark.parametrize(("micro_batch", "replayed"), [(None, True), (4, False)])
def test_a_step_in_parts_is_not_replayed(
    micro_batch: int | None, replayed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fastest(network: nn.Module, device: torch.device, replayed: bool) -> nn.Module:
        asked.append(replayed)
        return network

    monkeypatch.setattr(loop, "fastest", fastest)
    loop.Trainer(faces(), spec(), recipe(), loop.Machine(CPU, torch.float32, micro_batch=micro_batch))
    assert asked == [replayed]


def test_what_a_gpu_has_in_another_layout_is_trained_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "memory_format", lambda device: torch.channels_last)
    done = loop.train(faces(), spec(), recipe(), loop.Machine(CPU, torch.float32), tmp_path / "work", lambda row: None)
    assert not done.network.first.weight.is_contiguous()
    model.save(tmp_path / "model.safetensors", done.network, spec())
    posthoc.save(tmp_path / "snapshots.safetensors", done.snapshots)
    network, _ = model.load(tmp_path / "model.safetensors", CPU)
    assert same(network, done.network)
    combined = posthoc.combined(tmp_path / "snapshots.safetensors", 0.1)
    assert {name: tensor.shape for name, tensor in combined.items()} == {
        name: tensor.shape for name, tensor in network.state_dict().items()
    }
