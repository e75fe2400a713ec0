"""The stages as jobs of a real SLURM: the same bytes, what is asked for, and no work lost or done twice."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurm
from conftest import ROOT, TRAINED, Clone, interruptible, skip_without
from safetensors.torch import load_file
from slurm import Cluster
from test_distributed import far
from test_experiments import wait_for
from test_graph import STAGES, digests


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A SLURM of two nodes. Skips where it is not installed, but in CI."""
    skip_without((*slurm.DAEMONS, *slurm.COMMANDS), "slurm-wlm and munge", slurm.PATH)
    with slurm.running(tmp_path_factory.mktemp("slurm")) as running:
        yield running


RULES = {stage: (ROOT / "workflow" / "rules" / f"{stage}.smk").read_text() for stage in STAGES}
ON_NODES = {stage for stage, rule in RULES.items() if not rule.startswith("localrules:")}
ON_GPUS = {stage for stage, rule in RULES.items() if "GPUS" in rule}


@pytest.mark.long
def test_the_graph_runs_as_jobs_with_what_they_ask_for_to_the_same_bytes(
    cluster: Cluster, copy_of: Callable[[], Clone], finished: Clone
) -> None:
    clone = copy_of()
    profile = clone.root / "workflow" / "profiles" / "slurm" / "config.yaml"
    # The example in the profile, apart from the account: to check that takes an accounting database.
    example = re.sub(r"(?m)^#(?=  slurm_partition|set-resources|  faces|  train)", "", profile.read_text())
    profile.write_text(re.sub(r"slurm_partition: \w+", "slurm_partition: main", example))
    environment = cluster.serve(clone, faces_jobs="5")
    clone.snakemake("--forcerun", "detect", check=True, **environment)
    assert digests(clone) == digests(finished)
    jobs = cluster.jobs(clone)
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    rules = [job["Comment"].removeprefix("rule_") for job in jobs]
    assert sorted(rules) == sorted([*ON_NODES, *(f"faces_part_wildcards_{part}" for part in range(5))])
    asked = {
        rule: (job["Partition"], job["TimeLimit"], job["MinMemoryNode"], job["NumCPUs"], job.get("TresPerJob", ""))
        for rule, job in zip(rules, jobs, strict=True)
    }
    assert asked["faces"] == ("main", "04:00:00", "8000M", "1", "")
    assert asked["train"] == ("main", "1-00:00:00", "48000M", "1", "gres:gpu:1")
    assert {rule for rule, (*_, gpus) in asked.items() if gpus} == ON_GPUS >= {"train"}


class Controller:
    """`dvc repro train` in the clone, in a session of its own, which can be killed as a whole."""

    def __init__(self, clone: Clone, environment: dict[str, str]) -> None:
        self.said = clone.root / "said"
        kept = {"HOME": str(clone.root), "OMOKAGE_PYTHON": sys.executable, **environment}
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dvc", "repro", "train"],
                cwd=clone.root,
                env=kept,
                start_new_session=True,
                stdout=said,
                stderr=said,
            )

    def ended(self) -> int:
        """Return the exit code, when it has ended."""
        return self.process.wait(timeout=240)

    def kill(self) -> None:
        """End it with all its children, the jobs apart, as a power cut would."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.mark.long
def test_no_fault_of_a_job_or_of_its_controller_loses_work_or_trains_twice(
    cluster: Cluster, copy_of: Callable[[], Clone], undisturbed: Clone
) -> None:
    clone = interruptible(copy_of())
    environment = cluster.serve(clone, gpus="0")
    work = clone.root / ".dvc" / "tmp" / "omokage"

    def job() -> dict[str, str]:
        return (cluster.jobs(clone) or [{"JobId": "", "JobState": "", "Restarts": "0"}])[-1]

    def checkpoint_after(last: str) -> str:
        found = [path.name for path in work.glob("train-*/*/*.ckpt")]
        return "more" if found and max(found) > last else ""

    def newest() -> str:
        return max(path.name for path in work.glob("train-*/*/*.ckpt"))

    cancelled = Controller(clone, environment)
    try:
        wait_for(lambda: checkpoint_after(""), "more")
        cluster.ask("scancel", job()["JobId"])
        assert cancelled.ended() != 0
    finally:
        cancelled.kill()
    assert job()["JobState"] == "CANCELLED"
    assert "the same command goes on from there" in cancelled.said.read_text()
    assert not list(clone.root.glob("*/**/.partial-*"))

    def goes_on() -> None:
        """Have the job that is queued again run at once, where SLURM lets it wait for two minutes."""
        cluster.ask("scontrol", "update", f"JobId={job()['JobId']}", "StartTime=now", "TimeLimit=60")
        before = newest()
        wait_for(lambda: checkpoint_after(before), "more")

    def stands_still() -> None:
        """Stop the training, which lasts for seconds only; whatever SLURM does to it has it go on."""
        (process,) = re.findall(r"process (\d+) on ", (work / "train.lock").read_text())
        os.kill(int(process), signal.SIGSTOP)

    left = Controller(clone, environment)
    try:
        before = newest()
        wait_for(lambda: checkpoint_after(before), "more")
        stands_still()
        # The two minutes of the profile's `--signal`; SLURM looks at times twice a minute.
        cluster.ask("scontrol", "update", f"JobId={job()['JobId']}", "TimeLimit=2")
        wait_for(lambda: job()["Restarts"] + job()["JobState"], "1PENDING")
        goes_on()
        stands_still()
        # What is more urgent takes the place of the job, which SLURM then queues again.
        cluster.ask("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        wait_for(lambda: job()["Restarts"] + job()["JobState"], "2PENDING")
        # It was asked each time, and left its work; SLURM did not have to kill it.
        assert Path(job()["StdOut"]).read_text().count("the same command goes on from there") == 2
        goes_on()
        stands_still()
        # So that it surely outlives its controller.
        cluster.ask("scontrol", "suspend", job()["JobId"])
    finally:
        left.kill()
    assert job()["JobState"] == "SUSPENDED"
    waiting = Controller(clone, environment)
    try:
        wait_for(waiting.said.read_text, f"waiting for SLURM job {job()['JobId']} (rule_train, SUSPENDED)")
        cluster.ask("scontrol", "resume", job()["JobId"])
        assert waiting.ended() == 0, waiting.said.read_text()
    finally:
        waiting.kill()
    assert "what the earlier run made fits, and is used" in waiting.said.read_text()
    assert len(cluster.jobs(clone)) == 2
    assert digests(clone, TRAINED) == digests(undisturbed, TRAINED)


@pytest.mark.long
def test_an_experiment_trains_on_two_nodes_as_on_one(cluster: Cluster, copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    clone.set(precision="fp32", steps=4)
    environment = cluster.serve(clone, gpus="1", train_nodes="2")
    alone = copy_of()
    alone.set(precision="fp32", steps=4)
    alone.run(sys.executable, "-m", "omokage.runner", "train", "--threads=1", PYTHONPATH="src", OMP_NUM_THREADS="1")
    clone.dvc("exp", "run", "--temp", "--name", "together", "train", check=True, **environment)
    clone.dvc("exp", "apply", "together")
    models = [load_file(each.root / "results" / "model.safetensors") for each in (clone, alone)]
    assert far(*models) < 1e-5
    (job,) = cluster.jobs(clone)
    assert (job["NumNodes"], job["NumTasks"], job["TresPerNode"]) == ("2", "2", "gres:gpu:1")
    assert Path(job["StdOut"]).is_relative_to(clone.root / ".dvc" / "tmp" / "omokage" / "logs" / "slurm")


HOLD = """
import sys
from pathlib import Path
from omokage.locks import hold
with hold(Path(sys.argv[1]), "train") as waited:
    print(waited)
"""


def test_where_a_lock_does_not_reach_other_nodes_slurm_knows_whether_its_holder_lives(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = cluster.ask("sbatch", "--parsable", "--output=/dev/null", "--mem=100", "--wrap=sleep 600").strip()
    wait_for(lambda: cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%T"), "RUNNING")
    lock = tmp_path / "train.lock"
    lock.write_text(f"SLURM job {job} (process 1 on elsewhere)")
    command = [sys.executable, "-c", HOLD, str(lock)]
    surroundings = {"PYTHONPATH": str(ROOT / "src"), "PATH": f"{cluster.place / 'bin'}:/usr/bin:/bin"}
    with subprocess.Popen(
        command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as second:
        assert second.stderr is not None and second.stdout is not None
        assert f"train: waiting for SLURM job {job} (process 1 on elsewhere)" in second.stderr.readline()
        cluster.ask("scancel", job)
        assert second.stdout.read() == "True\n"
    assert lock.read_text() == ""
