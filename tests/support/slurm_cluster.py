"""A real SLURM cluster with two nodes on this machine. Its daemons use loopback and keep their files in one folder."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.clone import Clone
from support.faults import find_processes
from support.runs import wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
# Debian installs the daemons in a folder that only root has on PATH.
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
NODES = ("one", "two")
START_TIMEOUT = 60  # seconds
# The nodes claim more cores than the machine has, so that jobs run at the same time. Character devices act as GPUs.
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=bf_interval=1
SlurmdParameters=config_overrides
MinJobAge=3600
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 RealMemory=64000 Gres=gpu:2
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 RealMemory=64000 Gres=gpu:2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=ALL PriorityTier=2 State=UP
"""


class Cluster:
    """A running SLURM cluster. Its files are in `folder`, and its commands in `folder`/bin."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clones: list[Clone] = []

    def run(self, command: str, *arguments: str, **environment: str) -> str:
        """Run one of SLURM's commands, in this environment or that of the tests, and return its output."""
        done = subprocess.run(
            [str(self.folder / "bin" / command), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
            env=environment or None,
        )
        return done.stdout

    def list_jobs(self, clone: Clone) -> list[dict[str, str]]:
        """Return SLURM's description of the clone's jobs, including those that have ended, by increasing number."""
        lines = self.run("scontrol", "show", "jobs", "--oneliner").splitlines()
        jobs = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
        of_clone = [job for job in jobs if Path(job.get("WorkDir", "")).is_relative_to(clone.root)]
        return sorted(of_clone, key=lambda job: int(job["JobId"]))

    def configure(self, clone: Clone, **values: str) -> dict[str, str]:
        """Write `values` to the configfile of the clone's SLURM profile; return variables that select the profile."""
        self.clones.append(clone)
        clone.without_preloading()
        profile = clone.root / "workflow" / "profiles" / "slurm"
        with (profile / "config.yaml").open("a") as file:
            file.write("slurm-init-seconds-before-status-checks: 1\nseconds-between-status-checks: 1\n")
        config = profile / "omokage.yaml"
        lines = [line.partition(": ") for line in config.read_text().splitlines()]
        config.write_text("".join(f"{key}{colon}{values.get(key, value)}\n" for key, colon, value in lines))
        clone.commit("on a cluster")
        path = os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**clone.settings(), "SNAKEMAKE_PROFILE": "workflow/profiles/slurm", "PATH": path}

    def kill_leftovers(self) -> None:
        """Kill processes that jobs left behind: without cgroups, SLURM finds processes by parent and may miss some."""
        for clone in self.clones:
            for process in find_processes(clone):
                process.kill()


@contextmanager
def start_cluster(folder: Path) -> Iterator[Cluster]:
    """Start SLURM with its files in `folder`, and stop it when the context ends."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_configuration(folder)
    _write_commands(folder)
    munge = [f"--{name}={folder}/{name.partition('-')[0]}.munge" for name in ("pid-file", "log-file", "seed-file")]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "daemons.log").open("w"))
        for daemon in (
            # Without -f, munged refuses to start in a folder that other users cannot enter.
            ["munged", "-F", "-f", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket", *munge],
            ["slurmctld", "-D", "-f", f"{folder}/slurm.conf"],
            *(["slurmd", "-D", "-N", node, "-f", f"{folder}/slurm.conf"] for node in NODES),
        ):
            program = str(shutil.which(daemon[0], path=PATH))
            process = subprocess.Popen([program, *daemon[1:]], stdout=log, stderr=log, start_new_session=True)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            if daemon[0] == "munged":
                wait_for(lambda: str((folder / "munge.socket").exists()), "True", START_TIMEOUT)
        cluster = Cluster(folder)
        stack.callback(cluster.kill_leftovers)
        stack.callback(cluster.run, "scancel", "--signal=KILL", "--full", "--user", _user_name())
        wait_for(lambda: str(_read_node_states(cluster)), "{'idle'}", START_TIMEOUT)
        yield cluster


def _write_configuration(folder: Path) -> None:
    host = socket.gethostname().partition(".")[0]
    ports = _find_free_ports(1 + len(NODES))
    configuration = CONFIGURATION.format(folder=folder, host=host, ports=ports, user=_user_name())
    (folder / "slurm.conf").write_text(configuration)
    devices = zip(NODES * 2, ("/dev/null", "/dev/zero", "/dev/full", "/dev/random"), strict=True)
    (folder / "gres.conf").write_text("".join(f"NodeName={node} Name=gpu File={file}\n" for node, file in devices))
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    (folder / "state").mkdir()


def _write_commands(folder: Path) -> None:
    """Write scripts that run SLURM's commands with this configuration."""
    (folder / "bin").mkdir()
    for command in COMMANDS:
        # Snakemake's plugin removes SLURM_CONF from the environment of jobs.
        script = f'#!/bin/sh\nSLURM_CONF="{folder}/slurm.conf" exec {shutil.which(command, path=PATH)} "$@"\n'
        (folder / "bin" / command).write_text(script)
        (folder / "bin" / command).chmod(0o755)


def _read_node_states(cluster: Cluster) -> set[str]:
    """Return the states of the nodes; none while SLURM does not answer yet."""
    try:
        return set(cluster.run("sinfo", "--noheader", "--Node", "--format=%T").split())
    except subprocess.CalledProcessError:
        return set()


def _user_name() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _find_free_ports(count: int) -> list[int]:
    """Return ports on which no process listens."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for candidate in sockets:
            candidate.bind(("127.0.0.1", 0))
        return [candidate.getsockname()[1] for candidate in sockets]
