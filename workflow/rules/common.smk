# Shared by all rules. `pipeline` (omokage.pipeline.workflow) decides which stages must run.
import logging
import os
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The Snakefile that runs is that of the checkout or the one in its folder workflow/.
ROOT = next(folder for folder in (Path(workflow.basedir), Path(workflow.basedir).parent) if (folder / "src").is_dir())
sys.path.insert(0, str(ROOT / "src"))
os.environ.update(PYTHONPATH=str(ROOT / "src"))
# How long a waiting OpenMP thread spins before it sleeps. Without spinning, training is 40 % slower; threads that spin
# longer keep cores from other processes.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from omokage.base.errors import UserError
from omokage.pipeline.rule_files import trigger_path
from omokage.pipeline.snakemake_errors import ErrorCollector
from omokage.pipeline.snakemake_options import read_options
from omokage.pipeline.snakemake_report import CATEGORIES, caption_path
from omokage.pipeline.workflow import Workflow

errors = ErrorCollector()
logging.getLogger("snakemake").addHandler(errors)
options = read_options()
try:
    pipeline = Workflow(ROOT, config, workflow.is_main_process, options)
    # GPUs for each job that computes with torch, and for each training process.
    GPUS = pipeline.read_number("gpus")
    # Two trainings that share a device take longer than two in sequence.
    EXCLUSIVE = "" if pipeline.read_number("share_device") else "--exclusive "
    JOBS = {stage: pipeline.read_number(f"{stage}_jobs") for stage in ("detect", "faces", "sample")}
    TRAIN_NODES = pipeline.read_number("train_nodes")
    TRAIN_PROCESSES = pipeline.read_number("train_processes")
    if "micro_batch" in config:
        os.environ.update(OMOKAGE_MICRO_BATCH=str(pipeline.read_number("micro_batch")))
    LOGS, THREADS = str(pipeline.logs), pipeline.threads
    settings = workflow.resource_settings
    pipeline.check_rule_names([*settings.overwrite_resources, *settings.overwrite_threads], split=JOBS)
    pipeline.decide()
except UserError as error:
    raise WorkflowError(str(error))

# With `--sdm conda`, the stages run in an environment that conda makes, otherwise in that of this process. `--archive`
# packs that environment, and would fail without conda; requirements.lock, which pins the packages, is always packed.
ENVIRONMENT = None if options.archive and not shutil.which("conda") else "../envs/omokage.yaml"
uses_conda = any(method.name == "CONDA" for method in workflow.deployment_settings.deployment_method)
PYTHON = "python" if uses_conda else shlex.quote(sys.executable)
# SLURM sends SIGTERM to all processes of a job. A shell would die of the signal and end the job, so exec replaces it.
RUN = f"exec {PYTHON} -m omokage.pipeline.runner"
# Requests to the scheduler: memory in MB, time limit in minutes, and a GPU for stages that compute with torch. Stages
# marked `local` run on the login node, since they need the internet or take only seconds.
RESOURCES = {
    "params": {"mem_mb": 1000, "runtime": 10, "local": True},
    "download": {"mem_mb": 2000, "runtime": 600, "local": True},
    "detect": {"mem_mb": 4000, "runtime": 240},
    "faces": {"mem_mb": 4000, "runtime": 240},
    "extractor_weights": {"mem_mb": 1000, "runtime": 60, "local": True},
    "reference": {"mem_mb": 8000, "runtime": 60, "gpu": True},
    "train": {"mem_mb": 16000, "runtime": 2880},  # GPUs: TRAIN_RESOURCES
    "sample": {"mem_mb": 8000, "runtime": 240, "gpu": True},
    "transform": {"mem_mb": 8000, "runtime": 30, "gpu": True},
    "evaluate": {"mem_mb": 8000, "runtime": 60, "gpu": True},
    "figures": {"mem_mb": 4000, "runtime": 30, "local": True},
    "report": {"mem_mb": 2000, "runtime": 10, "local": True},
}


def inputs(stage):
    """Return the stage's inputs: its trigger, by which it runs or not, and files whose times then do not matter."""
    may_run = pipeline.may_run(stage)
    return [trigger_path(stage), *(path if may_run else ancient(path) for path in pipeline.find_inputs(stage))]


def outputs(stage):
    """Return the stage's outputs. With `update`, they are not deleted first, and kept if the stage fails."""
    return [
        (
            update(report(path, caption=ROOT / caption_path(path), category=CATEGORIES[path]))
            if path in CATEGORIES
            else update(path)
        )
        for path in pipeline.find_outputs(stage)
    ]


def resources(stage):
    """Return the resources that a stage's rules request, by Snakemake's names."""
    request = RESOURCES[stage]
    return {
        "mem_mb": request["mem_mb"],
        "runtime": request["runtime"],
        **({"gpu": GPUS} if request.get("gpu") else {}),
        **(TRAIN_RESOURCES if stage == "train" else {}),
    }


def command(stage):
    """Return the command that runs a stage, without the options that all stages share."""
    if stage == "train":
        return f"{train_command()} train"
    return f"{RUN} {EXCLUSIVE if RESOURCES[stage].get('gpu') else ''}{stage}"


def is_remote(stage):
    """Return whether the stage's jobs run on other nodes, so that their messages do not appear on this terminal."""
    return workflow.non_local_exec and not workflow.is_local(workflow.get_rule(stage))


onstart:
    pipeline.clamp_times()
    if pipeline.single_stage and is_remote(pipeline.single_stage):
        print(f"omokage: {pipeline.single_stage}: the logs of its jobs are in {LOGS}", file=sys.stderr)


onerror:
    pipeline.print_logs(is_remote)
    # Under DVC, the launcher prints the causes.
    if not pipeline.single_stage:
        print(*(f"omokage: {cause}\n" for cause in errors.causes), sep="", end="", file=sys.stderr)
