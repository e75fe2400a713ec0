"""Inspect runs of the pipeline in a clone: hash the outputs, list the planned stages, wait for messages."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from omokage.base.files import hash_bytes, hash_tree
from omokage.pipeline.graph import read_stages
from omokage.provenance.history import History
from support.clone import ROOT, Clone

STAGES = read_stages(ROOT)
# Without the record of the report, which has the sha256 of the report.
OUTPUTS = sorted({out for stage in STAGES.values() for out in stage.outs} - {STAGES["report"].record})
# The report gives the times of the run: in two sentences and a section.
TIMES = re.compile(
    rb"(<p>)?The training took [\d. minsh]+ on [^.]+\."
    rb"( All stages before this report took [\d. minsh]+ together\.)?(</p>)?\s*"
    rb"|( in )?\d[\d.,]*( h \d+ min| min \d+ s| s)\b"
    rb"|<h2 id=\"hardware-and-time\".*?(?=<h2 id=\"parameters\")|\n## Hardware and time.*?(?=\n## Parameters)",
    re.DOTALL,
)


def hash_outputs(clone: Clone, outputs: Sequence[str] = OUTPUTS) -> dict[str, str]:
    """Return the sha256 of each output of the clone, by path; of the report without the times."""
    reports = {out for out in outputs if out in STAGES["report"].outs}
    hashes = {out: hash_tree(clone.root / out) for out in outputs if out not in reports}
    return hashes | {out: hash_bytes(TIMES.sub(b"", (clone.root / out).read_bytes())) for out in reports}


def find_checkpoints(clone: Clone) -> list[str]:
    """Return the names of the checkpoints of trainings that have not ended, sorted; half-written files do not count."""
    return sorted(path.name for path in (clone.root / ".dvc/tmp/omokage").glob("train-*/*/[0-9]*.ckpt"))


def find_planned_stages(clone: Clone, *arguments: str) -> set[str]:
    """Return the stages that `snakemake` would run with these arguments, as its dry run lists them."""
    done = clone.snakemake("--dry-run", *arguments, "--quiet", "rules")
    rules = re.findall(r"^(\w+) +1$", done.stdout + done.stderr, flags=re.MULTILINE)
    return set(rules) - {"all", "total"}


def wait_for(read: Callable[[], str], expected: str, seconds: float = 240, pause: float = 0.3) -> str:
    """Call `read` every `pause` seconds until the text contains `expected`; return it, or fail after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if expected in (text := read()):
            return text
        time.sleep(pause)
    pytest.fail(f"expected {expected!r} within {seconds} s, got: {text[-2000:]}")


def read_from_revision(clone: Clone, path: Path, revision: str = "other") -> bytes:
    """Return a file as git stores it in a revision, such as an experiment that is not applied."""
    with History(clone.root) as history:
        content = history.read(history.revision(revision), str(path))
    assert content is not None
    return content
