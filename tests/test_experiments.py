"""`dvc exp run` in the workspace, in a temporary directory and from the queue; a user's own pictures in each."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import TRAINED, Clone, interruptible, stages_run

from omokage import pipeline
from omokage.data.sources import avatars
from omokage.params import whole


@pytest.mark.parametrize("lr", ["1e-4", "1e-5"])
def test_a_learning_rate_works_as_typed(
    copy_of: Callable[[], Clone], direct: Callable[[Clone], Clone], lr: str
) -> None:
    clone = direct(copy_of())
    done = clone.dvc("exp", "run", "-S", f"lr={lr}", "train")
    assert set(stages_run(done.stdout)) == {"params", "train"}
    record = pipeline.read_record(clone.root, pipeline.read(clone.root)["train"])
    assert record is not None
    assert record["params"]["lr"] == float(lr)
    shown = clone.dvc("exp", "show", "--csv").stdout
    assert lr.replace("e-", "e-0") in shown or str(float(lr)) in shown


@contextmanager
def under_way(clone: Clone) -> Iterator[subprocess.Popen[bytes]]:
    """Start a training of many minutes, yield its `dvc repro` once it has done twenty steps, and kill it in the end."""
    clone.set(steps=20_000, log_every=1)
    table = clone.root / "results" / "loss.csv"
    with repro_train(clone) as running:
        try:
            wait_for(lambda: table.read_text() if table.exists() else "", "\n20,")
            yield running
        finally:
            stop(running)


def test_metrics_are_there_while_training_runs(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    with under_way(clone) as running:
        seen = clone.dvc("metrics", "show", "--json", "results/train/metrics.json").stdout
        assert running.poll() is None
        assert '"loss"' in seen
    assert not (clone.root / "results" / "model.safetensors").exists()


@pytest.mark.long
def test_a_training_that_is_killed_and_then_left_behind_goes_on_and_ends_the_same(
    copy_of: Callable[[], Clone], undisturbed: Clone
) -> None:
    clone = interruptible(copy_of())
    work = clone.root / ".dvc" / "tmp" / "omokage"
    lock, log, table = (
        work / "train.lock",
        work / "logs" / "workspace" / "train.log",
        clone.root / "results" / "loss.csv",
    )
    with repro_train(clone) as killed:
        wait_for(lambda: " ".join(str(path) for path in work.glob("train-*/*/*.ckpt")), ".ckpt")
        stop(killed)
    with repro_train(clone) as left:
        wait_for(lambda: table.read_text() if table.exists() else "", "\n20,")
        assert "0% 0/200" not in log.read_text()
        holder = lock.read_text()
        (process,) = re.findall(r"^process (\d+) on ", holder)
        os.kill(int(process), signal.SIGSTOP)
        # DVC ends and leaves the training behind.
        left.terminate()
    with repro_train(clone) as waiting:
        wait_for(lambda: log.read_text() if log.exists() else "", f"waiting for {holder}")
        os.kill(int(process), signal.SIGCONT)
    assert waiting.returncode == 0
    assert "what that run made fits, and is used" in log.read_text()
    for out in TRAINED:
        assert pipeline.digest(clone.root / out) == pipeline.digest(undisturbed.root / out), out
    assert not list(work.glob("train-*/*"))


def repro_train(clone: Clone) -> subprocess.Popen[bytes]:
    """Start `dvc repro train`, in a session of its own and with hardly an environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "train"],
        cwd=clone.root,
        env={"PATH": "/usr/bin:/bin", "HOME": str(clone.root), "OMOKAGE_PYTHON": sys.executable},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.long
def test_a_temporary_experiment_runs_its_own_code(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    stage = clone.root / "src" / "omokage" / "stages" / "report.py"
    original = stage.read_text()
    clone.dvc("exp", "run", "--queue", "--name", "queued", "-S", "report_title=Queued")
    stage.write_text("raise RuntimeError('the code of the main workspace')\n")
    clone.dvc("queue", "start")
    wait_for(lambda: clone.dvc("queue", "status").stdout, "Success", pause=4)
    stage.write_text(original)
    clone.dvc("exp", "apply", "queued")
    assert "Queued" in (clone.root / "results" / "report.md").read_text()
    record = pipeline.read_record(clone.root, pipeline.read(clone.root)["report"])
    assert record is not None
    assert record["code"]["src/omokage/stages/report.py"] == pipeline.digest(stage)


def draw(folder: Path, count: int, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = avatars.collect(["adventurer"], first + count, ["ffffff", "c0aede"], 48, 7, 1).files
    for number, (_, content) in enumerate(drawn):
        if number >= first and isinstance(content, bytes):
            (folder / f"face-{number}.png").write_bytes(content)


@pytest.mark.long
def test_a_folders_content_is_part_of_the_key_however_it_is_run(
    copy_of: Callable[[], Clone], direct: Callable[[Clone], Clone]
) -> None:
    clone = direct(copy_of())
    pictures = clone.root.parent / "my pictures"
    draw(pictures, 24)
    clone.set(source="folder", folder="../my pictures", crop="whole")
    clone.commit("my pictures")
    ran = clone.dvc("repro", "faces")
    assert stages_run(ran.stdout) == ["params", "download", "detect", "faces"]
    assert stages_run(clone.dvc("repro", "faces").stdout) == []
    clone.commit("run")

    draw(pictures, 1, first=24)
    assert set(stages_run(clone.dvc("repro", "faces").stdout)) == {"download", "detect", "faces"}
    (pictures / "face-3.png").write_bytes((pictures / "face-4.png").read_bytes())
    assert "download" in stages_run(clone.dvc("exp", "run", "faces").stdout)
    (pictures / "face-5.png").unlink()
    assert "download" in stages_run(clone.dvc("exp", "run", "--temp", "faces").stdout)
    draw(pictures, 1, first=30)
    clone.dvc("exp", "run", "--queue", "--name", "queued", "faces")
    clone.dvc("queue", "start")
    wait_for(lambda: clone.dvc("queue", "status").stdout, "Success", pause=4)
    clone.dvc("exp", "apply", "queued")
    record = pipeline.read_record(clone.root, pipeline.read(clone.root)["download"])
    assert record is not None
    assert record["deps"]["remote://checkout/${folder}"] == pipeline.digest(pictures)

    zipped = clone.root.parent / "zipped.zip"
    with ZipFile(zipped, "w") as file:
        for path in sorted(pictures.iterdir()):
            file.write(path, f"deep/down/{path.name}")
    clone.set(folder="../zipped.zip")
    assert "download" in stages_run(clone.dvc("repro", "faces").stdout)
    assert pipeline.read_record(clone.root, pipeline.read(clone.root)["faces"])


def wait_for(look: Callable[[], str], sign: str, seconds: float = 240, pause: float = 0.3) -> str:
    """Look again and again, after a pause each, until the sign is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if sign in (seen := look()):
            return seen
        time.sleep(pause)
    pytest.fail(f"no {sign!r} within {seconds} s; last seen: {seen[-2000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with all its children at once, as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.long
def test_of_queued_experiments_that_run_at_once_the_failed_one_leaves_its_log(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    clone.dvc("exp", "run", "--queue", "--name", "size", "-S", "batch_size=9,40", "train")
    clone.dvc("queue", "start", "--jobs", "2")

    def ended() -> str:
        status = clone.dvc("queue", "status").stdout
        return status if not re.search("Queued|Running", status) else ""

    status = wait_for(ended, "size-2", pause=4)
    assert (status.count("Success"), status.count("Failed")) == (1, 1)
    said = (clone.root / ".dvc" / "tmp" / "omokage" / "logs" / "size-2" / "train.log").read_text()
    assert "batch_size = 40" in said
    assert said.strip() in clone.dvc("queue", "logs", "size-2").stdout


def test_a_second_repro_is_told_who_runs_the_first(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    with under_way(clone) as first:
        second = clone.dvc("repro", check=False)
    assert second.returncode != 0
    assert f"(PID {first.pid})" in second.stderr


def test_parameters_of_an_experiment_are_checked_first(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    done = clone.dvc("exp", "run", "-S", "schedule=cosin", check=False)
    assert done.returncode != 0
    assert "schedule = 'cosin': input should be 'linear', 'cosine' or 'sigmoid'" in done.stderr
    assert whole.load(clone.root / "params.yaml")["schedule"] == "cosin"
    assert (clone.root / "results" / "model.safetensors").exists()


def test_neither_engine_needs_an_activated_environment(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    (clone.root / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(clone.root), **clone.identity()}
    for command in (["repro"], ["exp", "run", "--temp"]):
        clone.set(report_title=f"By {command[0]}")
        done = subprocess.run(
            [".venv/bin/dvc", *command], cwd=clone.root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert set(stages_run(done.stdout)) == {"params", "report"}
