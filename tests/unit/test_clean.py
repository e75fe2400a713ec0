"""`omokage clean` removes what ended runs have left, and nothing of a living run or of one that could resume."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clone import ROOT, Clone

from omokage.cli.main import main
from omokage.pipeline.file_lock import hold_lock, try_lock

DEAD, RESUMABLE, ALIVE = (f"train-{digit * 16}" for digit in "abc")
KEPT = {
    f"{RESUMABLE}/cpu/000000100.ckpt",
    f"{RESUMABLE}.lock",
    f"{ALIVE}/cpu/.partial-1",
    f"{ALIVE}.0-of-2.lock",
    "train.lock",
    "logs/workspace/train.log",
    "logs/slurm/1.log",
    "logs/exists/train.log",
    "logs/queued/train.log",
    "logs/running/train.log",
    "durations.json",
}
REMOVED = {f"{DEAD}/cpu/.partial-1", f"{DEAD}.lock", f"{DEAD}.1-of-2.lock", "logs/removed/train.log"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with experiments, and with leftovers in its folder for partial work."""
    for command in (["git", "init", "-q"], ["git", "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(command, cwd=tmp_path, env={**Clone(ROOT).build_environment()}, check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").touch()
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    ref = f"refs/exps/{head[:2]}/{head[2:].strip()}/exists"
    stash = ["git", "update-ref", "--create-reflog", "-m", f"commit: dvc-exp:{head.strip()}:{head.strip()}:queued"]
    for update in (["git", "update-ref", ref, "HEAD"], [*stash, "refs/exps/celery/stash", "HEAD"]):
        subprocess.run(update, cwd=tmp_path, env=Clone(ROOT).build_environment(), check=True)
    info = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "run" / "1" / "1.run"
    info.parent.mkdir(parents=True)
    info.write_text('{"name": "running", "status": 2}')
    for name in KEPT | REMOVED:
        path = tmp_path / ".dvc" / "tmp" / "omokage" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / ".partial-model.safetensors").touch()
    (tmp_path / "results" / "model.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    answer_squeue(tmp_path, "exit 0")
    return tmp_path


def answer_squeue(checkout: Path, script: str) -> None:
    """Make SLURM's `squeue` answer what a shell script prints."""
    program = checkout / "bin" / "squeue"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def list_files(checkout: Path) -> set[str]:
    folder = checkout / ".dvc" / "tmp" / "omokage"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def living_run(checkout: Path) -> Iterator[None]:
    """Another process that holds the lock of one part of a run."""
    with try_lock(checkout / ".dvc" / "tmp" / "omokage" / f"{ALIVE}.0-of-2.lock") as holder:
        assert holder is None
        yield


@pytest.mark.usefixtures("living_run")
def test_clean_removes_what_ended_runs_have_left(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = list_files(checkout)
    assert main(["clean", "--dry-run"]) == 0
    assert list_files(checkout) == before == KEPT | REMOVED
    planned = capsys.readouterr().out
    assert main(["clean"]) == 0
    out = capsys.readouterr().out
    assert out == planned.replace("would remove", "removed")
    assert list_files(checkout) == KEPT
    assert not (checkout / ".dvc" / "tmp" / "omokage" / DEAD).exists()
    assert [path.name for path in (checkout / "results").iterdir()] == ["model.safetensors"]
    assert f"{RESUMABLE} (partial results of a run): the same parameters, data and code would resume from it" in out
    assert f"{ALIVE} (partial results of a run): in use by another process" in out
    assert out.endswith(
        "removed 5, kept 4; `omokage clean --all` also removes what interrupted runs could resume from\n"
    )


@pytest.mark.usefixtures("living_run")
def test_clean_all_removes_checkpoints_but_nothing_of_a_living_run(checkout: Path) -> None:
    assert main(["clean", "--all"]) == 0
    assert list_files(checkout) == {name for name in KEPT if not name.startswith(RESUMABLE)}


@pytest.mark.parametrize(
    ("squeue", "reason"),
    [
        ('echo "7|PENDING|rule_train|$PWD/.dvc/tmp/exps/abc"', "SLURM job 7 may use it"),
        ("exit 1", "SLURM does not answer, so a job may use it"),
        ('echo "7|RUNNING|rule_train|/elsewhere"', ""),
        ('echo "7|RUNNING|rule_sample|$PWD"', ""),
    ],
)
def test_what_a_slurm_job_may_use_stays(
    checkout: Path, capsys: pytest.CaptureFixture[str], squeue: str, reason: str
) -> None:
    answer_squeue(checkout, squeue)
    assert main(["clean", "--all"]) == 0
    assert (f"{RESUMABLE} (partial results of a run): {reason}" in capsys.readouterr().out) == bool(reason)
    assert (checkout / ".dvc" / "tmp" / "omokage" / RESUMABLE).exists() == bool(reason)


@pytest.mark.parametrize(("content", "is_removed"), [("", True), ('{"write": {', True), ('{"write": {}}', False)])
def test_dvcs_file_of_locks_is_removed_if_it_is_damaged(checkout: Path, content: str, is_removed: bool) -> None:
    path = checkout / ".dvc" / "tmp" / "rwlock"
    path.write_text(content)
    assert main(["clean", "--dry-run"]) == 0 and path.exists()
    assert main(["clean"]) == 0
    assert path.exists() != is_removed


def test_unfinished_outputs_of_a_running_stage_stay(checkout: Path) -> None:
    with try_lock(checkout / ".dvc" / "tmp" / "omokage" / "train.lock"):
        assert main(["clean"]) == 0
    assert (checkout / "results" / ".partial-model.safetensors").exists()


def test_a_run_that_waits_for_a_removed_lock_takes_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omokage.pipeline.file_lock.WAIT", 0.02)
    path = tmp_path / "run.lock"
    acquired = threading.Event()

    def wait_and_hold() -> None:
        with hold_lock(path, "train"):
            acquired.set()

    with try_lock(path):
        waiting = threading.Thread(target=wait_and_hold)
        waiting.start()
        waiting.join(0.2)
        path.unlink()
        other = path.open("a+")
    with other, try_lock(path) as holder:
        assert holder is None
        # The removed file is free now, but the waiting run must notice that it is not the lock any more.
        assert not acquired.wait(0.3)
    waiting.join()
    assert acquired.is_set()
