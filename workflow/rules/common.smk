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

from omokage import pipeline, runner, slurm
from omokage.errors import Refused
from omokage.params import whole

# Given once: the number of threads changes the last bits of sums, so every profile uses the same.
THREADS = 2
STAGES = pipeline.read(ROOT)
PYTHON = shlex.quote(sys.executable)
# With exec, since a shell between would die of the SIGTERM that SLURM sends to all of a job's processes, and end the job.
RUN = f"exec {PYTHON} -m omokage.runner"
LOGS = str(runner.work_folder(ROOT) / "logs" / os.environ.get("DVC_EXP_NAME", "workspace"))


def refuse(message):
    """Stop before any job; under the launcher Snakemake itself is quiet, so say why."""
    if "stage" in config:
        print(f"omokage: {message}", file=sys.stderr)
    raise WorkflowError(f"omokage: {message}")


if set("{}") & set(LOGS):
    refuse(f"{ROOT}: expected a path without braces, which Snakemake takes for wildcards: move the checkout")
if workflow.cores is not None and workflow.cores < THREADS:
    refuse(f"--cores {workflow.cores}: expected {THREADS} or more, since fewer threads give other bytes")


def stale():
    """The stages whose results do not fit."""
    try:
        values = whole.load(ROOT / "params.yaml")
        whole.check(values)
        return pipeline.stale(ROOT, values)
    except (Refused, OSError) as error:
        refuse(error)


# An earlier run that was killed may have left jobs in SLURM's queue; what they make is used if it fits.
WAITED = (
    workflow.is_main_process
    and not workflow.output_settings.dryrun
    and slurm.wait(ROOT, [config["stage"]] if "stage" in config else STAGES)
)
STALE = {} if "stage" in config else stale()
TO_RUN = {config["stage"]} if "stage" in config else set(STALE)
if WAITED and "stage" in config and config["stage"] not in stale():
    print(f"omokage: {config['stage']}: what the earlier run made fits, and is used", file=sys.stderr)
    TO_RUN = set()


def done(stage):
    """The marker of a stage. The results themselves are the runner's, which replaces them when all is well."""
    return f".snakemake/done/{stage}"


def number(key, default=1, least=1):
    """A whole number that a profile's configfile may give."""
    value = config.get(key, default)
    if not str(value).isdecimal() or int(value) < least:
        refuse(f"{key} = {value!r}: expected a whole number from {least}")
    return int(value)


# For each job of the stages that compute with torch, and for each process of a training.
GPUS = number("gpus", default=0, least=0)
# Two trainings on one device take longer than one after the other, if its memory holds both. A scheduler knows better.
ALONE = "" if number("share_device", default=0, least=0) else " --alone"


def jobs(stage):
    """The number of jobs that a stage fans out to."""
    return number(f"{stage}_jobs")


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
        if name in TO_RUN:
            marker.unlink(missing_ok=True)
        else:
            marker.touch()
            os.utime(marker, (1, 1))


def logs(stage):
    """The logs of a stage's jobs."""
    return [path for pattern in (f"{stage}.log", f"{stage}-*-of-*.log") for path in sorted(Path(LOGS).glob(pattern))]


def on_a_node(stage):
    """Whether the stage's jobs run elsewhere, so that what they say is not seen here."""
    return workflow.non_local_exec and not workflow.is_local(workflow.get_rule(stage))


if "stage" in config and TO_RUN and workflow.is_main_process:
    for path in logs(config["stage"]):
        path.unlink(missing_ok=True)


onstart:
    if "stage" in config and on_a_node(config["stage"]):
        print(f"omokage: {config['stage']}: its jobs write to {LOGS}", file=sys.stderr)


onerror:
    if "stage" in config and on_a_node(config["stage"]):
        for path in logs(config["stage"]):
            print(f"{path}:", *path.read_text().splitlines()[-20:], sep="\n", file=sys.stderr)
