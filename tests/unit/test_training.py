"""Training: reproducible results, batches, the learning rate, the EMA and the memory layout."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.training import COMPUTE, CPU, have_same_weights, make_config, make_faces, make_spec, train_tiny
from torch import Tensor, nn

from omokage.base.errors import UserError
from omokage.compute.seeding import make_generator
from omokage.diffusion import model, posthoc_ema
from omokage.diffusion.ema import ModelEma, make_half_life_decay
from omokage.training import trainer
from omokage.training.batches import Batch, Batches, sample_stratified_timesteps
from omokage.training.config import ComputeConfig
from omokage.training.loss_table import LossTable
from omokage.training.prefetch import Prefetcher
from omokage.training.setup import warn_of_long_half_life
from omokage.training.trainer import PROBE_COUNT, Row, Trainer, choose_probe_steps, create_network
from omokage.training.validation import make_probe, write_noise_levels


def test_the_same_seed_gives_the_same_model_and_another_seed_another(tmp_path: Path) -> None:
    first = train_tiny(tmp_path / "a").network
    torch.rand(7)
    assert have_same_weights(first, train_tiny(tmp_path / "b").network)
    assert not have_same_weights(first, train_tiny(tmp_path / "c", seed=1).network)
    assert not have_same_weights(first, train_tiny(tmp_path / "d", lr=2e-3).network)


def test_training_reduces_the_loss(tmp_path: Path) -> None:
    rows: list[Row] = []
    train_tiny(tmp_path, rows.append, steps=150, lr=3e-3, log_every=15)
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]


@pytest.mark.parametrize(("lr", "steps"), [(1e30, 30), (1e38, 1)], ids=["after some steps", "in the last step"])
def test_a_diverged_training_fails_and_returns_no_model(tmp_path: Path, lr: float, steps: int) -> None:
    reason = r"\(the loss or a weight is not finite, or the loss is above 1000\)"
    message = rf"diverged at step \d+ with lr = 1e\+\d+ {reason}: lower lr"
    with pytest.raises(UserError, match=message):
        train_tiny(tmp_path, lr=lr, steps=steps, warmup=0.0, grad_clip=1e30, optimiser="adamw")


def test_some_rows_have_the_errors_of_the_ema_network_and_the_last_is_the_mean_of_the_noise_levels(
    tmp_path: Path,
) -> None:
    rows: list[Row] = []
    # The held-out faces are some of the training faces, and more than these.
    splits = {"train": make_faces(24), "held_out": make_faces(64)}
    probe = make_probe(make_spec(), splits, COMPUTE, 0)
    network = train_tiny(tmp_path, rows.append, COMPUTE, probe, steps=60, lr=3e-3, log_every=2).network
    probed = [row for row in rows if "held_out" in row]
    assert len(probed) == PROBE_COUNT and probed[-1] == rows[-1] and rows[-1]["step"] == 60
    write_noise_levels(tmp_path / "levels.csv", network, make_spec(), splits, COMPUTE, 0)
    levels = pd.read_csv(tmp_path / "levels.csv")
    for split in splits:
        assert rows[-1][split] == pytest.approx(levels[split].mean(), rel=1e-5)
    # Equal faces at equal noise levels with equal noise have equal errors.
    assert list(levels["train"]) == list(levels["held_out"])
    # The loss is a mean over all noise levels, too, but of the network without EMA, with dropout, and at earlier steps.
    assert rows[-1]["train"] == pytest.approx(sum(row["loss"] for row in rows[-8:]) / 8, rel=0.25)


def test_the_loss_table_has_the_errors_only_in_the_rows_that_were_probed(tmp_path: Path) -> None:
    table = LossTable(tmp_path / "loss.csv", tmp_path / "live")
    table.add({"step": 10, "lr": 0.001, "loss": 0.5})
    table.add({"step": 20, "lr": 0.001, "loss": 0.25, "train": 0.3, "held_out": 0.4})
    table.close()
    assert (tmp_path / "loss.csv").read_text().splitlines() == [
        "step,lr,loss,train,held_out",
        "10,0.001,0.5,,",
        "20,0.001,0.25,0.3,0.4",
    ]


@pytest.mark.parametrize(("timesteps", "rows"), [(2, 1), (5, 4), (24, 11), (1000, 12)])
def test_the_table_of_noise_levels_has_each_timestep_once_and_no_pure_noise(
    tmp_path: Path, timesteps: int, rows: int
) -> None:
    spec, path = replace(make_spec(), timesteps=timesteps, zero_snr=True), tmp_path / "noise_levels.csv"
    write_noise_levels(
        path, create_network(spec, 0), spec, {"train": make_faces(2), "held_out": make_faces(1)}, COMPUTE, 0
    )
    table = pd.read_csv(path)
    assert len(table) == rows and table["t"].is_monotonic_increasing and table["t"].is_unique
    assert np.isfinite(table.to_numpy()).all() and table["t"].max() < timesteps - 1


def test_a_half_life_that_is_longer_than_a_tenth_of_the_training_is_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    warn_of_long_half_life(make_config(steps=100, batch_size=8, ema_half_life=80))
    assert not capsys.readouterr().err
    warn_of_long_half_life(make_config(steps=100, batch_size=8, ema_half_life=81))
    assert "ema_half_life = 81 has the effect of 80: a tenth of the training (800 images)" in capsys.readouterr().err


def test_a_short_training_measures_the_errors_in_every_row() -> None:
    assert choose_probe_steps(make_config(steps=6, log_every=2)) == {2, 4, 6}
    assert choose_probe_steps(make_config(steps=3, log_every=10)) == {3}


def test_a_training_set_smaller_than_a_batch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="batch_size = 25, but the training set has only 24 faces"):
        train_tiny(tmp_path, batch_size=25)


def test_every_epoch_visits_every_face_once_in_its_own_order() -> None:
    numbered = torch.arange(24, dtype=torch.uint8).view(24, 1, 1, 1).expand(24, 3, 16, 16).contiguous()
    batches = Batches(numbered, make_spec(), make_config(flip=False, batch_size=7))
    visited = [make_spec().to_images(batches.get_faces(step))[:, 0, 0, 0] for step in range(24)]
    epochs = torch.cat(visited).view(7, 24)
    assert all(sorted(epoch.tolist()) == list(range(24)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 7
    resumed = Batches(numbered, make_spec(), make_config(flip=False, batch_size=7))
    assert torch.equal(resumed.get_faces(17), batches.get_faces(17))


def test_the_learning_rate_warms_up_stays_constant_and_decays() -> None:
    lrs = [make_config(steps=100, lr=1.0).compute_lr(step) for step in range(100)]
    assert lrs[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert lrs[10:50] == [1.0] * 40
    assert lrs[-1] == pytest.approx(0.02)


def test_stratified_timesteps_cover_the_schedule_evenly() -> None:
    t = sample_stratified_timesteps(50, 1000, make_generator(0, "t"))
    assert sorted((t // 20).tolist()) == list(range(50))


def test_the_ema_forgets_the_initial_weights_and_lags_by_its_half_life() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, -50.0)
    ema = ModelEma(layer, make_half_life_decay(10))
    torch.nn.init.constant_(layer.weight, 1.0)
    for step in range(1, 101):
        ema.update(step)
    assert ema.decay(1000) == pytest.approx(0.5**0.1)
    assert float(ema.model.weight.detach()) == pytest.approx(1.0, abs=0.1)
    torch.nn.init.constant_(layer.weight, 2.0)
    for step in range(101, 111):
        ema.update(step)
    assert float(ema.model.weight.detach()) == pytest.approx(1.5, abs=0.05)


def test_prefetched_batches_equal_batches_made_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batch, "pin_memory", lambda batch: batch)
    batches = Batches(make_faces(), make_spec(), make_config())
    prefetcher = Prefetcher(Batches(make_faces(), make_spec(), make_config()))
    for step in (0, 1, 2, 3, 9, 10):
        prefetched, expected = prefetcher.get(step), batches.get(step)
        for name in ("x0", "noise", "t", "keys"):
            assert torch.equal(getattr(prefetched, name), getattr(expected, name)), (step, name)


@pytest.mark.parametrize(("micro_batch", "cuda_graphs"), [(None, True), (4, False)])
def test_cuda_graphs_are_used_only_for_undivided_batches(
    micro_batch: int | None, cuda_graphs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = []

    def compile_network(network: nn.Module, device: torch.device, cuda_graphs: bool) -> Callable[..., Tensor]:
        requested.append(cuda_graphs)
        return network

    monkeypatch.setattr(trainer, "compile_network", compile_network)
    Trainer(make_faces(), make_spec(), make_config(), ComputeConfig(CPU, torch.float32, micro_batch=micro_batch))
    assert requested == [cuda_graphs]


def test_a_network_in_channels_last_layout_is_trained_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "choose_memory_format", lambda device: torch.channels_last)
    result = train_tiny(tmp_path / "work")
    assert not result.network.first.weight.is_contiguous()
    model.save_model(tmp_path / "model.safetensors", result.network, make_spec())
    posthoc_ema.save_snapshots(tmp_path / "snapshots.safetensors", result.snapshots)
    network, _ = model.load_model(tmp_path / "model.safetensors", CPU)
    assert have_same_weights(network, result.network)
    weights = posthoc_ema.synthesise_ema(tmp_path / "snapshots.safetensors", 0.1)
    assert {name: tensor.shape for name, tensor in weights.items()} == {
        name: tensor.shape for name, tensor in network.state_dict().items()
    }
