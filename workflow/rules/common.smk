# What every rule shares. A stage is known to Snakemake by a marker, which is there just when the stage's results fit. That
# is decided by hashes (omokage.pipeline), never by times, which mean nothing after `dvc checkout`.
import os
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))
os.environ["PYTHONPATH"] = str(ROOT / "src")
# Threads that wait for each other spin a little and then sleep: sleeping at once costs a training 40 % of its speed, and
# spinning for long takes the cores from other work.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from omokage import pipeline, runner
from omokage.errors import Refused
from omokage.params import whole

# Given once: the number of threads changes the last bits of sums, so every profile uses the same.
THREADS = 2
STAGES = pipeline.read(ROOT)
RUN = f"{shlex.quote(sys.executable)} -m omokage.runner"
LOGS = str(runner.work_folder(ROOT) / "logs" / os.environ.get("DVC_EXP_NAME", "workspace"))


def refuse(message):
    """Stop before any job; under the launcher Snakemake itself is quiet, so say why."""
    if "stage" in config:
        print(f"omokage: {message}", file=sys.stderr)
    raise WorkflowError(f"omokage: {message}")


if workflow.cores is not None and workflow.cores < THREADS:
    refuse(f"--cores {workflow.cores}: expected {THREADS} or more, since fewer threads give other bytes")

STALE = {}
if "stage" not in config:
    try:
        VALUES = whole.load(ROOT / "params.yaml")
        whole.check(VALUES)
        STALE = pipeline.stale(ROOT, VALUES)
    except (Refused, OSError) as error:
        refuse(error)


def done(stage):
    """The marker of a stage. The results themselves are the runner's, which replaces them when all is well."""
    return f".snakemake/done/{stage}"


def jobs(stage):
    """The number of jobs that a stage fans out to: `STAGE_jobs: N` in a profile's configfile."""
    count = config.get(f"{stage}_jobs", 1)
    if not str(count).isdecimal() or int(count) < 1:
        refuse(f"{stage}_jobs = {count!r}: expected a whole number from 1")
    return int(count)


def parts(stage):
    """The markers of a stage's jobs. They leave their pieces in a folder named after the run's hash, where the stage
    itself collects them; a marker only says that a job is done."""
    count = jobs(stage)
    return [f".snakemake/parts/{stage}-{part}-of-{count}" for part in range(count) if count > 1]


def needs(stage):
    """The markers of the stages that this one depends on."""
    upstream = pipeline.upstream(STAGES, stage)
    if stage not in STALE:
        # `params` may run alone, since what it writes is a constant; Snakemake would take its followers along.
        upstream = [name for name in upstream if name not in STALE]
    return [done(name) for name in upstream]


if workflow.is_main_process:
    shutil.rmtree(ROOT / ".snakemake" / "parts", ignore_errors=True)
    # Snakemake would run a stage again just because it failed before; here its results tell, and they are whole.
    shutil.rmtree(ROOT / ".snakemake" / "incomplete", ignore_errors=True)
    for name in STAGES:
        marker = ROOT / done(name)
        marker.parent.mkdir(parents=True, exist_ok=True)
        if name in STALE or name == config.get("stage"):
            marker.unlink(missing_ok=True)
        else:
            marker.touch()
            os.utime(marker, (1, 1))
