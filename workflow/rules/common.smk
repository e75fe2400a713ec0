# What every rule shares. A stage is known to Snakemake by its record, the last file it writes; whether a record still
# fits is decided by hashes (omokage.pipeline), never by times, which mean nothing after `dvc checkout`.
import os
import shlex
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))
os.environ["PYTHONPATH"] = str(ROOT / "src")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from omokage import pipeline, runner
from omokage.errors import Refused
from omokage.params import whole

# Given once: the number of threads changes the last bits of sums, so every profile uses the same.
THREADS = 2
STAGES = pipeline.read(ROOT)
RUN = f"{shlex.quote(sys.executable)} -m omokage.runner"
LOGS = str(runner.work_folder(ROOT) / "logs" / os.environ.get("DVC_EXP_NAME", "workspace"))

if workflow.cores is not None and workflow.cores < THREADS:
    raise WorkflowError(f"omokage needs --cores {THREADS} or more: it has {workflow.cores}, and fewer threads give other bytes.")

STALE = {}
if "stage" not in config:
    try:
        VALUES = whole.load(ROOT / "params.yaml")
        whole.check(VALUES)
        STALE = pipeline.stale(ROOT, VALUES)
    except Refused as error:
        raise WorkflowError(f"omokage: {error}")


def needs(stage):
    """The records of the stages that this one depends on: only their being there counts, not their age."""
    return [ancient(STAGES[name].record) for name in pipeline.upstream(STAGES, stage)]


def due(stage):
    """A file that is younger than the stage's record just when the stage has to run again."""
    path = ROOT / ".snakemake" / "due" / stage
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    record = ROOT / STAGES[stage].record
    if stage not in STALE:
        os.utime(path, (1, 1))
    elif record.exists():
        moment = max(time.time(), record.stat().st_mtime + 1)
        os.utime(path, (moment, moment))
    return str(path.relative_to(ROOT))
