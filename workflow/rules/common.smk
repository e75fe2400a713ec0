# Shared by all rules. `pipeline` (omokage.pipeline.workflow) decides which stages must run.
import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))
os.environ["PYTHONPATH"] = str(ROOT / "src")
# How long a waiting OpenMP thread spins before it sleeps. Without spinning, training is 40 % slower; threads that spin
# longer keep cores from other processes.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from omokage.base.errors import UserError
from omokage.pipeline.workflow import Workflow

try:
    pipeline = Workflow(ROOT, config, workflow.is_main_process)
    pipeline.check_cores(workflow.cores)
    pipeline.decide(dry_run=workflow.output_settings.dryrun)
    # GPUs for each job that computes with torch, and for each training process.
    GPUS = pipeline.read_number("gpus", default=0, minimum=0)
    # Two trainings that share a device take longer than two in sequence.
    EXCLUSIVE = "" if pipeline.read_number("share_device", default=0, minimum=0) else "--exclusive "
    JOBS = {stage: pipeline.read_number(f"{stage}_jobs") for stage in ("detect", "faces", "sample")}
    TRAIN_NODES = pipeline.read_number("train_nodes")
    TRAIN_PROCESSES = pipeline.read_number("train_processes")
    if "micro_batch" in config:
        os.environ["OMOKAGE_MICRO_BATCH"] = str(pipeline.read_number("micro_batch"))
except UserError as error:
    raise WorkflowError(str(error))

if workflow.is_main_process:
    pipeline.write_markers()

LOGS, THREADS = str(pipeline.logs), pipeline.threads
PYTHON = shlex.quote(sys.executable)
# SLURM sends SIGTERM to all processes of a job. A shell would die of the signal and end the job, so exec replaces it.
RUN = f"exec {PYTHON} -m omokage.pipeline.runner"


def is_remote(stage):
    """Return whether the stage's jobs run on other nodes, so that their messages do not appear on this terminal."""
    return workflow.non_local_exec and not workflow.is_local(workflow.get_rule(stage))


onstart:
    if pipeline.single_stage and is_remote(pipeline.single_stage):
        print(f"omokage: {pipeline.single_stage}: the logs of its jobs are in {LOGS}", file=sys.stderr)


onerror:
    pipeline.print_logs(is_remote)
