"""Stages as jobs of a real SLURM: same outputs, the requested resources, and no work lost or done twice."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file
from support import slurm_cluster
from support.clone import ROOT, TRAINING_OUTPUTS, Clone, make_interruptible, skip_unless_installed
from support.runs import STAGES, find_checkpoints, hash_outputs, wait_for
from support.sessions import output_path, start_repro_train
from support.slurm_cluster import Cluster
from support.training import compute_relative_distance

# They need the internet, or only seconds.
LOCAL_STAGES = {"params", "download", "extractor_weights", "figures", "report"}
GPU_STAGES = {"reference", "train", "sample", "transform", "evaluate"}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A SLURM with two nodes. The test is skipped if SLURM is not installed, except in CI."""
    skip_unless_installed((*slurm_cluster.DAEMONS, *slurm_cluster.COMMANDS), "slurm-wlm and munge", slurm_cluster.PATH)
    with slurm_cluster.start_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


class Training:
    """The training of a clone on a cluster: its last job, its checkpoints and its process."""

    def __init__(self, cluster: Cluster, clone: Clone) -> None:
        self.cluster, self.clone = cluster, clone
        self.work = clone.root / ".dvc" / "tmp" / "omokage"

    def describe_job(self) -> dict[str, str]:
        """Return SLURM's description of the last job."""
        return (self.cluster.list_jobs(self.clone) or [{"JobId": "", "JobState": "", "Restarts": "0"}])[-1]

    def describe_restarts(self) -> str:
        """Return the number of restarts and the state of the last job, such as 1PENDING."""
        job = self.describe_job()
        return job["Restarts"] + job["JobState"]

    def newest_checkpoint(self) -> str:
        """Return the name of the newest checkpoint, empty if there is none."""
        return max(find_checkpoints(self.clone), default="")

    def wait_for_checkpoint(self) -> None:
        """Wait for a checkpoint that is newer than the newest one."""
        before = self.newest_checkpoint()
        wait_for(lambda: "newer" if self.newest_checkpoint() > before else "", "newer")

    def start_requeued_job(self) -> None:
        """Start the requeued job now, which SLURM would start after two minutes."""
        self.cluster.run("scontrol", "update", f"JobId={self.describe_job()['JobId']}", "StartTime=now", "TimeLimit=60")
        self.wait_for_checkpoint()

    def pause(self) -> None:
        """Stop the training, which takes only seconds. SLURM continues it whenever it signals the job."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the training after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        (process,) = re.findall(r"process (\d+) on ", (self.work / "train.lock").read_text())
        os.kill(int(process), number)


@pytest.mark.long
def test_jobs_request_their_resources_and_make_the_same_outputs(
    cluster: Cluster, copy_clone: Callable[[], Clone], finished_clone: Clone, preload: Callable[[Clone], Clone]
) -> None:
    clone = copy_clone()
    profile = clone.root / "workflow" / "profiles" / "slurm" / "config.yaml"
    # Uncomment the profile's example, except the account: that needs an accounting database.
    example = re.sub(r"(?m)^#(?=  slurm_partition|set-resources|  faces|  train)", "", profile.read_text())
    profile.write_text(re.sub(r"slurm_partition: \w+", "slurm_partition: main", example))
    environment = cluster.configure(clone, faces_jobs="2")
    # No job is signalled here, so that the jobs can use the preloaded Python. Those of the other tests do not.
    environment |= preload(clone).settings()
    clone.snakemake("--forcerun", "detect", check=True, **environment)
    assert hash_outputs(clone) == hash_outputs(finished_clone)
    jobs = cluster.list_jobs(clone)
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    rules = [job["Comment"].removeprefix("rule_") for job in jobs]
    stages_on_nodes = set(STAGES) - LOCAL_STAGES
    assert sorted(rules) == sorted([*stages_on_nodes, *(f"faces_part_wildcards_{part}" for part in range(2))])
    requests = {
        rule: (job["Partition"], job["TimeLimit"], job["MinMemoryNode"], job["NumCPUs"], job.get("TresPerJob", ""))
        for rule, job in zip(rules, jobs, strict=True)
    }
    assert requests["faces"] == ("main", "04:00:00", "8000M", "1", "")
    assert requests["train"] == ("main", "1-00:00:00", "48000M", "1", "gres:gpu:1")
    assert {rule for rule, (*_, gpus) in requests.items() if gpus} == GPU_STAGES


@pytest.mark.long
def test_no_fault_of_a_job_or_its_controller_loses_work_or_trains_twice(
    cluster: Cluster, copy_clone: Callable[[], Clone], uninterrupted_training: Clone
) -> None:
    clone = make_interruptible(copy_clone())
    environment = cluster.configure(clone, gpus="0")
    training, output = Training(cluster, clone), output_path(clone)

    with start_repro_train(clone, environment) as controller:
        training.wait_for_checkpoint()
        cluster.run("scancel", training.describe_job()["JobId"])
        assert controller.wait(timeout=240) != 0
    assert training.describe_job()["JobState"] == "CANCELLED"
    assert "run the same command to resume" in output.read_text()
    assert not list(clone.root.glob("*/**/.partial-*"))

    with start_repro_train(clone, environment):
        training.wait_for_checkpoint()
        training.pause()
        # The profile's `--signal` sends SIGTERM two minutes before the limit; SLURM checks limits twice a minute.
        cluster.run("scontrol", "update", f"JobId={training.describe_job()['JobId']}", "TimeLimit=2")
        wait_for(training.describe_restarts, "1PENDING")
        training.start_requeued_job()
        training.pause()
        # An urgent job preempts the training, which SLURM then requeues.
        cluster.run("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        wait_for(training.describe_restarts, "2PENDING")
        # Both times the training received SIGTERM and saved its work; SLURM did not have to kill it.
        log = Path(training.describe_job()["StdOut"]).read_text()
        assert log.count("run the same command to resume") == 2
        training.start_requeued_job()
        training.pause()
        # A suspended job surely outlives its controller.
        cluster.run("scontrol", "suspend", training.describe_job()["JobId"])
    assert training.describe_job()["JobState"] == "SUSPENDED"

    with start_repro_train(clone, environment) as controller:
        job_id = training.describe_job()["JobId"]
        wait_for(output.read_text, f"waiting for SLURM job {job_id} (rule_train, SUSPENDED)")
        cluster.run("scontrol", "resume", job_id)
        assert controller.wait(timeout=240) == 0, output.read_text()
    assert "the results of the earlier run fit and are used" in output.read_text()
    assert len(cluster.list_jobs(clone)) == 2
    assert hash_outputs(clone, TRAINING_OUTPUTS) == hash_outputs(uninterrupted_training, TRAINING_OUTPUTS)


@pytest.mark.long
def test_the_controller_may_be_a_job_itself_and_the_next_one_of_an_array_takes_over(
    cluster: Cluster, copy_clone: Callable[[], Clone], uninterrupted_training: Clone
) -> None:
    clone = make_interruptible(copy_clone())
    environment = {"HOME": str(clone.root), "PYTHONPATH": "src", **cluster.configure(clone, gpus="0")}
    training = Training(cluster, clone)

    def submit(*options: str) -> str:
        command = f"--wrap={sys.executable} -m omokage.cli.main clean; {sys.executable} -m dvc repro train"
        folder = f"--chdir={clone.root}"
        return cluster.run(
            "sbatch", "--parsable", "--output=%x.log", "--open-mode=append", folder, *options, command, **environment
        ).strip()

    # DVC refuses an element that starts before the processes of the one before it have ended; then the next starts.
    array = submit("--array=1-20%1", "--job-name=array", "--cpus-per-task=2", "--mem-per-cpu=1000")
    training.wait_for_checkpoint()
    training.pause()
    # As the time limit of the first controller would. Its job for the training goes on.
    cluster.run("scancel", f"{array}_1")
    output = clone.root / "array.log"
    job_id = training.describe_job()["JobId"]
    wait_for(output.read_text, f"waiting for SLURM job {job_id} (rule_train, RUNNING)")
    training.resume()
    wait_for(output.read_text, "Use `dvc push`")
    cluster.run("scancel", array)  # the other elements, which have nothing to do
    assert "train: the results of the earlier run fit and are used" in output.read_text()
    assert hash_outputs(clone, TRAINING_OUTPUTS) == hash_outputs(uninterrupted_training, TRAINING_OUTPUTS)
    assert "Data and pipelines are up to date" in clone.dvc("status", "train").stdout
    submit("--wait", "--job-name=again", "--mem=1000")
    assert "Data and pipelines are up to date" in (clone.root / "again.log").read_text()


@pytest.mark.long
def test_an_experiment_trains_the_same_model_on_two_nodes(cluster: Cluster, copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    clone.set_params(precision="fp32", steps=4)
    environment = cluster.configure(clone, gpus="1", train_nodes="2")
    on_one_node = copy_clone()
    on_one_node.set_params(precision="fp32", steps=4)
    runner = (on_one_node.python, "-m", "omokage.pipeline.runner", "train", "--threads=1")
    on_one_node.run(*runner, PYTHONPATH="src")
    clone.dvc("exp", "run", "--temp", "--name", "two-nodes", "train", check=True, **environment)
    clone.dvc("exp", "apply", "two-nodes")
    models = [load_file(each.root / "results" / "model.safetensors") for each in (clone, on_one_node)]
    assert compute_relative_distance(*models) < 1e-5
    (job,) = cluster.list_jobs(clone)
    assert (job["NumNodes"], job["NumTasks"], job["TresPerNode"]) == ("2", "2", "gres:gpu:1")
    assert Path(job["StdOut"]).is_relative_to(clone.root / ".dvc" / "tmp" / "omokage" / "logs" / "slurm")


HOLD_LOCK = """
import sys
from pathlib import Path
from omokage.pipeline.file_lock import hold_lock
with hold_lock(Path(sys.argv[1]), "train") as has_waited:
    print(has_waited)
"""


def test_if_locks_do_not_reach_other_nodes_slurm_says_whether_the_holder_still_runs(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = cluster.run("sbatch", "--parsable", "--output=/dev/null", "--mem=100", "--wrap=sleep 600").strip()
    wait_for(lambda: cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%T"), "RUNNING")
    lock = tmp_path / "train.lock"
    lock.write_text(f"SLURM job {job} (process 1 on elsewhere)")
    command = [sys.executable, "-c", HOLD_LOCK, str(lock)]
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": f"{cluster.folder / 'bin'}:/usr/bin:/bin"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as second:
        assert second.stderr is not None and second.stdout is not None
        assert f"train: waiting for SLURM job {job} (process 1 on elsewhere)" in second.stderr.readline()
        cluster.run("scancel", job)
        assert second.stdout.read() == "True\n"
    assert lock.read_text() == ""
