# What every rule shares. A stage is known to Snakemake by its record, the last file it writes; whether a record still
# fits is decided by hashes (omokage.pipeline), never by times, which mean nothing after `dvc checkout`.
import os
import shlex
import shutil
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
    except Refused as error:
        refuse(error)


def needs(stage):
    """The records of the stages that this one depends on; of those that are not to run again the age does not count."""
    upstream = pipeline.upstream(STAGES, stage)
    if stage not in STALE:
        # `params` may have to run without anything after it, and Snakemake would take its followers for settled.
        upstream = [name for name in upstream if name not in STALE]
    return [STAGES[name].record if name in STALE else ancient(STAGES[name].record) for name in upstream]


def due(stage):
    """A file that is younger than the stage's record just when the stage has to run again."""
    path = ROOT / ".snakemake" / "due" / stage
    path.parent.mkdir(parents=True, exist_ok=True)
    record = ROOT / STAGES[stage].record
    # The text differs each time, since Snakemake does not take a file for new whose checksum is that of last time.
    path.write_text(f"{STALE[stage]} ({time.time_ns()})" if stage in STALE else "")
    moment = max(time.time(), record.stat().st_mtime + 1) if record.exists() else time.time()
    os.utime(path, (moment, moment) if stage in STALE else (1, 1))
    return str(path.relative_to(ROOT))
