"""Runs by `dvc repro` and `dvc exp run`: in the workspace, in a temporary folder, from the queue, and interrupted."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from support.clone import TRAINING_OUTPUTS, Clone, make_interruptible, parse_stages_run
from support.images import write_random_images
from support.runs import STAGES, find_checkpoints, hash_outputs, wait_for
from support.sessions import kill_session, start_repro_train

from omokage.base.files import hash_tree
from omokage.config.yaml_file import load_yaml
from omokage.pipeline.stale import find_record


def read_record(clone: Clone, stage: str) -> dict[str, Any]:
    """Return the record of the stage's last run."""
    record = find_record(clone.root, STAGES[stage])
    assert record is not None
    return record


def wait_for_queue(clone: Clone) -> str:
    """Run the queue until no experiment is waiting or running, and return its status."""

    def read_final_status() -> str:
        status = clone.dvc("queue", "status").stdout
        return "" if re.search("Queued|Running", status) else f"finished: {status}"

    return wait_for(read_final_status, "finished", pause=2)


@pytest.mark.parametrize("lr", ["1e-4", pytest.param("1e-5", marks=pytest.mark.slow)])
def test_a_learning_rate_on_the_command_line_is_a_number_and_its_model_can_be_sampled_later(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone], lr: str
) -> None:
    clone = bypass_snakemake(copy_clone())
    done = clone.dvc("exp", "run", "--name", "slower", "-S", f"lr={lr}", "train")
    assert set(parse_stages_run(done.stdout)) == {"params", "train"}
    assert read_record(clone, "train")["params"]["lr"] == float(lr)
    table = clone.dvc("exp", "show", "--csv").stdout
    assert lr.replace("e-", "e-0") in table or str(float(lr)) in table
    assert clone.omokage("sample", "-n", "2", "--out", "at-once")[0] == 0
    clone.run("git", "checkout", "--", "params.yaml", "dvc.lock")
    for name in ("model", "snapshots"):
        (clone.root / f"results/{name}.safetensors").unlink()
    assert clone.omokage("sample", "-n", "2", "--rev", "slower", "--out", "later")[0] == 0
    assert hash_tree(clone.root / "later") == hash_tree(clone.root / "at-once")


def test_during_training_its_metrics_are_shown_and_a_second_repro_names_the_first(
    copy_clone: Callable[[], Clone],
) -> None:
    clone = copy_clone()
    clone.set_params(steps=20_000, log_every=1)  # many minutes
    table = clone.root / "results" / "loss.csv"
    with start_repro_train(clone) as run:
        wait_for(lambda: table.read_text() if table.exists() else "", "\n20,")
        # DVCLive rewrites the file after every step here, so DVC may find it half written.
        wait_for(lambda: clone.dvc("metrics", "show", "--json", "results/train/metrics.json").stdout, '"loss"')
        second = clone.dvc("repro", check=False)
        assert run.poll() is None
    assert second.returncode != 0
    assert f"(PID {run.pid})" in second.stderr
    assert not (clone.root / "results" / "model.safetensors").exists()


@pytest.mark.long
def test_a_training_that_is_killed_and_later_loses_its_dvc_ends_with_the_same_outputs(
    copy_clone: Callable[[], Clone], uninterrupted_training: Clone
) -> None:
    clone = make_interruptible(copy_clone())
    work = clone.root / ".dvc" / "tmp" / "omokage"
    lock, log = work / "train.lock", work / "logs" / "workspace" / "train.log"
    table = clone.root / "results" / "loss.csv"
    with start_repro_train(clone) as killed:
        wait_for(lambda: " ".join(find_checkpoints(clone)), ".ckpt")
        kill_session(killed)
    with start_repro_train(clone) as terminated:
        wait_for(lambda: table.read_text() if table.exists() else "", "\n20,")
        assert "0% 0/200" not in log.read_text()
        holder = lock.read_text()
        (process,) = re.findall(r"^process (\d+) on ", holder)
        os.kill(int(process), signal.SIGSTOP)
        # DVC ends, and its training stays.
        terminated.terminate()
        terminated.wait()
    with start_repro_train(clone) as waiting:
        wait_for(lambda: log.read_text() if log.exists() else "", f"waiting for {holder}")
        os.kill(int(process), signal.SIGCONT)
        waiting.wait()
    assert waiting.returncode == 0
    assert "the results of that run fit and are used" in log.read_text()
    assert hash_outputs(clone, TRAINING_OUTPUTS) == hash_outputs(uninterrupted_training, TRAINING_OUTPUTS)
    assert not list(work.glob("train-*/*"))


@pytest.mark.long
def test_a_queued_experiment_runs_the_code_it_was_queued_with(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    stage = clone.root / "src" / "omokage" / "stages" / "report.py"
    original = stage.read_text()
    clone.dvc("exp", "run", "--queue", "--name", "queued", "-S", "report_title=Queued")
    stage.write_text("raise RuntimeError('the code of the workspace')\n")
    clone.dvc("queue", "start")
    assert "Success" in wait_for_queue(clone)
    stage.write_text(original)
    clone.dvc("exp", "apply", "queued")
    assert "Queued" in (clone.root / "results" / "report.md").read_text()
    assert read_record(clone, "report")["code"]["src/omokage/stages/report.py"] == hash_tree(stage)


@pytest.mark.long
def test_the_images_in_a_folder_are_part_of_the_key_of_every_kind_of_run(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    images = clone.root.parent / "my images"
    write_random_images(images, 24)
    clone.set_params(source="folder", folder="../my images", crop="whole")
    clone.commit("my images")
    assert clone.repro("faces") == ["params", "download", "detect", "faces"]
    assert clone.repro("faces") == []
    clone.commit("run")

    write_random_images(images, 1, first=24)
    assert set(clone.repro("faces")) == {"download", "detect", "faces"}
    (images / "face-3.png").write_bytes((images / "face-4.png").read_bytes())
    assert "download" in parse_stages_run(clone.dvc("exp", "run", "faces").stdout)
    (images / "face-5.png").unlink()
    assert "download" in parse_stages_run(clone.dvc("exp", "run", "--temp", "faces").stdout)
    write_random_images(images, 1, first=30)
    clone.dvc("exp", "run", "--queue", "--name", "queued", "faces")
    clone.dvc("queue", "start")
    assert "Success" in wait_for_queue(clone)
    clone.dvc("exp", "apply", "queued")
    assert read_record(clone, "download")["deps"]["remote://checkout/${folder}"] == hash_tree(images)

    archive = clone.root.parent / "images.zip"
    with ZipFile(archive, "w") as file:
        for path in sorted(images.iterdir()):
            file.write(path, f"deep/down/{path.name}")
    clone.set_params(folder="../images.zip")
    assert "download" in clone.repro("faces")
    assert read_record(clone, "faces")


@pytest.mark.long
def test_of_two_queued_experiments_at_once_the_failed_one_leaves_its_log(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    clone.dvc("exp", "run", "--queue", "--name", "size", "-S", "batch_size=9,40", "train")
    clone.dvc("queue", "start", "--jobs", "2")
    status = wait_for_queue(clone)
    assert "size-2" in status
    assert (status.count("Success"), status.count("Failed")) == (1, 1)
    log = (clone.root / ".dvc" / "tmp" / "omokage" / "logs" / "size-2" / "train.log").read_text()
    assert "batch_size = 40" in log
    assert log.strip() in clone.dvc("queue", "logs", "size-2").stdout


def test_the_parameters_of_an_experiment_are_checked_first(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    done = clone.dvc("exp", "run", "-S", "schedule=cosin", check=False)
    assert done.returncode != 0
    assert "schedule = 'cosin': input should be 'linear', 'cosine' or 'sigmoid'" in done.stderr
    assert load_yaml(clone.root / "params.yaml")["schedule"] == "cosin"
    assert (clone.root / "results" / "model.safetensors").exists()


@pytest.mark.parametrize("command", ["repro", pytest.param("exp run --temp", marks=pytest.mark.slow)])
def test_dvc_and_snakemake_need_no_activated_environment(copy_clone: Callable[[], Clone], command: str) -> None:
    clone = copy_clone()
    (clone.root / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(clone.root), "OMOKAGE_THREADS": "1", **clone.git_identity()}
    clone.set_params(report_title=f"By {command}")
    done = subprocess.run(
        [".venv/bin/dvc", *command.split()],
        cwd=clone.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(parse_stages_run(done.stdout)) == {"params", "report"}
