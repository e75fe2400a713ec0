"""An interrupted training resumes to the same bytes as an uninterrupted one: real processes and real signals."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from support.clone import PYTHON_PATH, create_once
from support.interrupted_training import INTERRUPTED
from support.training import COMPUTE, have_same_weights, make_config, make_faces, make_spec, train_tiny

from omokage.base.errors import UserError
from omokage.base.files import PARTIAL, hash_tree
from omokage.diffusion import posthoc_ema
from omokage.training.checkpoint import MAX_CHECKPOINTS, load_checkpoint, save_checkpoint
from omokage.training.trainer import Trainer
from omokage.training.validation import make_probe

KILL_POINTS = ("step:1", "step:2", "step:5", "step:7", "step:11", "save:1", "save:6", "save:12")


@dataclass(frozen=True)
class InterruptedTrainings:
    """Trainings that were interrupted and resumed: their folders, both exit codes by point, and their messages."""

    folder: Path
    exit_codes: dict[str, list[int]]
    messages: str


def hash_outputs(folder: Path) -> dict[str, str]:
    """Return the hash of each file in a folder, by name."""
    return {path.name: hash_tree(path) for path in sorted(folder.iterdir())}


def interrupt_trainings(folder: Path) -> None:
    """Interrupt and resume a training at every point; write the exit codes and the messages to the folder."""
    folder.mkdir()
    command = [sys.executable, "-m", "support.interrupted_training", str(folder), "never", *KILL_POINTS, "term:4"]
    environment = {**os.environ, "PYTHONPATH": PYTHON_PATH}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "exit_codes.json").write_text(done.stdout)
    (folder / "messages.txt").write_text(done.stderr)


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> InterruptedTrainings:
    """Trainings interrupted and resumed at every point, once for all test processes."""
    folder = create_once(tmp_path_factory, "interrupted trainings", interrupt_trainings)
    exit_codes = json.loads((folder / "exit_codes.json").read_text())
    return InterruptedTrainings(folder, exit_codes, (folder / "messages.txt").read_text())


def test_the_same_training_twice_gives_the_same_bytes(trainings: InterruptedTrainings) -> None:
    first, second = (hash_outputs(trainings.folder / "never" / run) for run in ("first", "second"))
    assert trainings.exit_codes["never"] == [0, 0]
    assert sorted(first) == ["loss.csv", "model.safetensors", "snapshots.safetensors"]
    assert first == second


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_killed_training_resumes_to_the_same_bytes(trainings: InterruptedTrainings, point: str) -> None:
    resumed, uninterrupted = trainings.folder / point / "second", trainings.folder / "never" / "first"
    assert trainings.exit_codes[point] == [-signal.SIGKILL, 0]
    assert hash_outputs(resumed) == hash_outputs(uninterrupted)


def test_after_sigterm_a_training_saves_a_checkpoint_says_how_to_resume_and_resumes(
    trainings: InterruptedTrainings,
) -> None:
    resumed, uninterrupted = trainings.folder / "term:4" / "second", trainings.folder / "never" / "first"
    assert trainings.exit_codes["term:4"] == [INTERRUPTED, 0]
    assert "stopped after step 5: run the same command to resume" in trainings.messages
    assert hash_outputs(resumed) == hash_outputs(uninterrupted)


@pytest.mark.parametrize("damage", ["cut", "flipped bit", "empty"])
def test_a_damaged_checkpoint_is_reported_and_replaced_by_an_older_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step, "tensor": torch.ones(100)})
    newest = max(tmp_path.glob("*.ckpt"))
    assert len(list(tmp_path.glob("*.ckpt"))) == MAX_CHECKPOINTS
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"cut": bytes(content[:300]), "flipped bit": bytes(content), "empty": b""}[damage])
    state = load_checkpoint(tmp_path)
    assert state is not None and state["step"] == 2
    assert f"checkpoint {newest.name} is damaged" in capsys.readouterr().err
    assert not newest.exists()


def test_an_unfinished_checkpoint_is_ignored_and_removed_by_the_next_save(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = tmp_path / f"{PARTIAL}1234-000000009.ckpt"
    unfinished.write_bytes(b"half")
    assert load_checkpoint(tmp_path) is None
    assert capsys.readouterr().err == ""
    save_checkpoint(tmp_path, 1, {"step": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["000000001.ckpt"]


def test_random_numbers_probes_and_snapshots_do_not_change_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train_tiny(tmp_path / "plain")
    # The log function uses the global generator, as careless code may.
    disturbed = train_tiny(tmp_path / "disturbed", lambda row: torch.randn(100))
    probed = train_tiny(tmp_path / "probed", probe=make_probe(make_spec(), {"held_out": make_faces(9)}, COMPUTE, 0))
    monkeypatch.setattr(posthoc_ema, "SNAPSHOT_COUNT", 1)
    fewer_snapshots = train_tiny(tmp_path / "fewer snapshots")
    assert have_same_weights(plain.network, disturbed.network)
    assert have_same_weights(plain.network, fewer_snapshots.network)
    assert have_same_weights(plain.network, probed.network)
    assert len(fewer_snapshots.snapshots) < len(plain.snapshots)


def test_a_checkpoint_of_another_model_is_an_error_that_names_the_difference(tmp_path: Path) -> None:
    trainer = Trainer(make_faces(), make_spec(prediction="x0"), make_config(), COMPUTE)
    save_checkpoint(tmp_path, 1, trainer.state_dict())
    with pytest.raises(UserError, match=r"checkpoint belongs to a different model \(prediction is x0, expected v\)"):
        train_tiny(tmp_path)
