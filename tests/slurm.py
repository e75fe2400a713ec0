"""A real SLURM of two nodes, both this machine: its daemons run on loopback, with files of their own, until stopped."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from conftest import Clone
from faults import living

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
# Debian has the daemons where only root looks.
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
NODES = ("one", "two")
# More cores than there are, so that jobs run side by side, and character devices in place of GPUs.
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={place}/munge.socket
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool-%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd-%n.log
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
    """A SLURM that runs, as its users see it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.served: list[Clone] = []

    def ask(self, command: str, *arguments: str) -> str:
        """Run one of SLURM's commands and return what it says."""
        done = subprocess.run(
            [str(self.place / "bin" / command), *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def jobs(self, clone: Clone) -> list[dict[str, str]]:
        """Return what SLURM knows of the clone's jobs, ended ones too, by their number."""
        listed = self.ask("scontrol", "show", "jobs", "--oneliner").splitlines()
        jobs = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in listed]
        mine = [job for job in jobs if Path(job.get("WorkDir", "")).is_relative_to(clone.root)]
        return sorted(mine, key=lambda job: int(job["JobId"]))

    def serve(self, clone: Clone, **values: str) -> dict[str, str]:
        """Make the clone cold and its profile fit, with `values` in its configfile; return an environment to use it."""
        self.served.append(clone)
        clone.cold()
        profile = clone.root / "workflow" / "profiles" / "slurm"
        with (profile / "config.yaml").open("a") as file:
            file.write("slurm-init-seconds-before-status-checks: 1\nseconds-between-status-checks: 1\n")
        values_at = profile / "omokage.yaml"
        lines = [line.partition(": ") for line in values_at.read_text().splitlines()]
        values_at.write_text("".join(f"{key}{colon}{values.get(key, value)}\n" for key, colon, value in lines))
        clone.commit("on a cluster")
        path = os.pathsep.join([str(self.place / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        return {"SNAKEMAKE_PROFILE": "workflow/profiles/slurm", "PATH": path}

    def bury(self) -> None:
        """End what its jobs left behind: without cgroups SLURM knows a process by its parent, and can lose it."""
        for clone in self.served:
            for process in living(clone):
                process.kill()


@contextmanager
def running(place: Path) -> Iterator[Cluster]:
    """Start SLURM with its files in `place`, and stop it."""
    place.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname().partition(".")[0]
    configuration = CONFIGURATION.format(place=place, host=host, ports=free_ports(1 + len(NODES)), user=user())
    (place / "slurm.conf").write_text(configuration)
    devices = zip(NODES * 2, ("/dev/null", "/dev/zero", "/dev/full", "/dev/random"), strict=True)
    (place / "gres.conf").write_text("".join(f"NodeName={node} Name=gpu File={file}\n" for node, file in devices))
    (place / "munge.key").write_bytes(os.urandom(128))
    (place / "munge.key").chmod(0o600)
    (place / "state").mkdir()
    (place / "bin").mkdir()
    for command in COMMANDS:
        # Snakemake's plugin takes SLURM_CONF out of the environment of jobs.
        script = f'#!/bin/sh\nSLURM_CONF="{place}/slurm.conf" exec {shutil.which(command, path=PATH)} "$@"\n'
        (place / "bin" / command).write_text(script)
        (place / "bin" / command).chmod(0o755)
    munge = [f"--{name}={place}/{name.partition('-')[0]}.munge" for name in ("pid-file", "log-file", "seed-file")]
    with ExitStack() as stack:
        log = stack.enter_context((place / "daemons.log").open("w"))
        for daemon in (
            # Forced, since others may not enter the folder of these tests, nor need to.
            ["munged", "-F", "-f", f"--key-file={place}/munge.key", f"--socket={place}/munge.socket", *munge],
            ["slurmctld", "-D", "-f", f"{place}/slurm.conf"],
            *(["slurmd", "-D", "-N", node, "-f", f"{place}/slurm.conf"] for node in NODES),
        ):
            program = str(shutil.which(daemon[0], path=PATH))
            process = subprocess.Popen([program, *daemon[1:]], stdout=log, stderr=log, start_new_session=True)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            if daemon[0] == "munged":
                until(lambda: (place / "munge.socket").exists())
        cluster = Cluster(place)
        stack.callback(cluster.bury)
        stack.callback(cluster.ask, "scancel", "--signal=KILL", "--full", "--user", user())
        until(lambda: set(nodes(cluster)) == {"idle"})
        yield cluster


def nodes(cluster: Cluster) -> list[str]:
    """Return the states of the nodes; none while SLURM does not answer yet."""
    try:
        return cluster.ask("sinfo", "--noheader", "--Node", "--format=%T").split()
    except subprocess.CalledProcessError:
        return []


def until(condition: Callable[[], bool]) -> None:
    """Wait for the condition."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "SLURM has not started; see its logs"
        time.sleep(0.2)


def user() -> str:
    """Return who runs the tests."""
    return pwd.getpwuid(os.getuid()).pw_name


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        doors = [stack.enter_context(socket.socket()) for _ in range(count)]
        for door in doors:
            door.bind(("127.0.0.1", 0))
        return [door.getsockname()[1] for door in doors]
