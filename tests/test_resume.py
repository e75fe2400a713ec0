"""A training that is killed and started again ends as if nothing had been: real processes, real signals."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import made_once
from test_training import CPU, faces, recipe, same, spec

from omokage import pipeline, posthoc
from omokage.errors import Refused
from omokage.training import checkpoint, loop
from omokage.training.probe import held_out_loss

POINTS = ("step:1", "step:2", "step:5", "step:7", "step:11", "save:1", "save:6", "save:12")
# Forks a process for every training, which kills itself where told, else leaves model, snapshots and table behind.
SCRIPT = """
import json, os, signal, sys
from pathlib import Path
import torch
tests, place, *points = sys.argv[1:]
sys.path[:0] = [tests, tests + "/../src"]
from test_training import CPU, faces, recipe, spec
from omokage import model, posthoc
from omokage.training import checkpoint, loop
import torch._dynamo
loop.CHECKPOINT_SECONDS = -1.0
advance, save = loop.Trainer.advance, torch.save

def train(out, work, point):
    kind, _, at = point.partition(":")
    def step(self):
        if kind in ("step", "term") and self.step == int(at):
            os.kill(os.getpid(), signal.SIGKILL if kind == "step" else signal.SIGTERM)
        advance(self)
    def half(state, file):
        save(state, file)
        if kind == "save" and state["step"] == int(at):
            (work / f"{state['step']:09d}.partial").write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    loop.Trainer.advance, checkpoint.torch.save = step, half
    out.mkdir(parents=True)
    with (out / "loss.csv").open("w") as table:
        def log(row):
            table.write(f"{row['step']:.0f},{row['lr']!r},{row['loss']!r}\\n")
            table.flush()
        try:
            done = loop.train(faces(), spec(), recipe(), loop.Machine(CPU, torch.float32), work, log)
        except loop.Interrupted as error:
            print(error, file=sys.stderr)
            os._exit(75)
    model.save(out / "model.safetensors", done.network, spec())
    posthoc.save(out / "snapshots.safetensors", done.snapshots)
    os._exit(0)

def forked(out, work, point):
    if (child := os.fork()) == 0:
        torch.set_num_threads(1)
        train(out, work, point)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

codes = {}
for point in points:
    here = Path(place) / point
    codes[point] = [forked(here / "first", here / "work", point), forked(here / "second", here / "work", "never")]
print(json.dumps(codes))
"""


def hashes(place: Path) -> dict[str, str]:
    return {path.name: pipeline.digest(path) for path in sorted(place.iterdir())}


def kill(place: Path) -> None:
    """Make trainings that are killed at every point and run again, with both exit codes and what was said."""
    place.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(place), "never", *POINTS, "term:4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (place / "codes.json").write_text(done.stdout)
    (place / "said.txt").write_text(done.stderr)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]], str]:
    """Trainings killed at every point and run again: where they lie, both exit codes, and what was said."""
    place = made_once(tmp_path_factory, "killed trainings", kill)
    codes: dict[str, list[int]] = json.loads((place / "codes.json").read_text())
    return place, codes, (place / "said.txt").read_text()


def test_the_same_training_twice_gives_the_same_bytes(killed: tuple[Path, Any, str]) -> None:
    place, codes, _ = killed
    assert codes["never"] == [0, 0]
    assert sorted(hashes(place / "never" / "first")) == ["loss.csv", "model.safetensors", "snapshots.safetensors"]
    assert hashes(place / "never" / "first") == hashes(place / "never" / "second")


@pytest.mark.parametrize("point", POINTS)
def test_sigkill_at_any_moment_changes_no_byte(killed: tuple[Path, Any, str], point: str) -> None:
    place, codes, _ = killed
    assert codes[point] == [-signal.SIGKILL, 0]
    assert hashes(place / point / "second") == hashes(place / "never" / "first")


def test_sigterm_leaves_a_checkpoint_and_says_resume_me(killed: tuple[Path, Any, str]) -> None:
    place, codes, said = killed
    assert codes["term:4"] == [75, 0]
    assert "stopped after step 5: the same command goes on from there" in said
    assert hashes(place / "term:4" / "second") == hashes(place / "never" / "first")


@pytest.mark.parametrize("damage", ["cut", "flipped bit", "empty"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, {"step": step, "tensor": torch.ones(100)})
    newest = max(tmp_path.glob("*.ckpt"))
    assert len(list(tmp_path.glob("*.ckpt"))) == checkpoint.KEEP
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"cut": bytes(content[:300]), "flipped bit": bytes(content), "empty": b""}[damage])
    state = checkpoint.load(tmp_path)
    assert state is not None and state["step"] == 2
    assert f"checkpoint {newest.name} is damaged and passed over" in capsys.readouterr().err
    assert not newest.exists()


MACHINE = loop.Machine(CPU, torch.float32)


def train(work: Path, log: Any, probe: loop.Probe | None = None) -> loop.Trained:
    return loop.train(faces(), spec(), recipe(), MACHINE, work, log, probe)


def test_previews_and_snapshots_disturb_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = train(tmp_path / "a", lambda row: None)
    # A preview draws from the global generator, as careless code does.
    disturbed = train(tmp_path / "b", lambda row: torch.randn(100))
    looked_at = train(tmp_path / "d", lambda row: None, held_out_loss(spec(), faces(9), MACHINE, 0))
    monkeypatch.setattr(posthoc, "SNAPSHOTS", 1)
    fewer = train(tmp_path / "c", lambda row: None)
    assert same(plain.network, disturbed.network) and same(plain.network, fewer.network)
    assert same(plain.network, looked_at.network)
    assert len(fewer.snapshots) < len(plain.snapshots)


def test_a_checkpoint_of_another_model_is_refused_with_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = loop.Trainer(faces(), spec(prediction="x0"), recipe(), loop.Machine(CPU, torch.float32))
    checkpoint.save(tmp_path, 1, trainer.state())
    with pytest.raises(Refused, match="checkpoint is of another model: prediction x0 instead of v"):
        train(tmp_path, os.devnull)
