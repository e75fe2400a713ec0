"""The files that Snakemake's rules declare: the inputs and outputs in dvc.yaml, and a trigger for each stage.

Hashes decide whether a stage must run (`pipeline.stale`), but Snakemake compares modification times, which mean nothing
after `dvc checkout`. So every stage has one more input, its trigger. If the stage must run, its trigger gets new
content and is newer than the outputs. Otherwise the trigger is older than any output, and the rule ignores the times of
the other inputs.
"""

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from omokage.base.files import write_atomically, write_text
from omokage.pipeline.graph import Stage

# A file in each folder that stages write. Snakemake knows the folder by this file: into a folder that a rule declares
# with `directory()`, Snakemake writes a time stamp, which would change the folder's hash.
FILES_IN_FOLDERS = {
    "data/faces": "index.csv",
    "data/extractor_weights": "README.txt",
    "data/reference": "held_out.safetensors",
}
LONG_AGO = 1.0  # seconds since 1970


def find_file(out: str) -> str:
    """Return the file by which Snakemake knows the output `out`: the output itself, or a file in the folder."""
    return f"{out}/{FILES_IN_FOLDERS[out]}" if out in FILES_IN_FOLDERS else out


def find_inputs(stages: Mapping[str, Stage], stage: str) -> dict[str, str]:
    """Return the files that `stage` reads and other stages write, with the stage that writes each."""
    makers = {out: maker.name for maker in stages.values() for out in maker.outs}
    return {find_file(dep): makers[dep] for dep in stages[stage].data if dep in makers}


def trigger_path(stage: str) -> str:
    """Return the path of a stage's trigger."""
    return f".snakemake/triggers/{stage}"


def write_triggers(root: Path, stages: Iterable[Stage], to_run: Iterable[str]) -> None:
    """Write the trigger of every stage, so that Snakemake runs exactly the stages `to_run`.

    New content is needed because Snakemake ignores a newer input whose checksum is that of the last run.
    """
    now, names = time.time(), set(to_run)
    for stage in stages:
        trigger = root / trigger_path(stage.name)
        is_new = stage.name in names or not trigger.exists()
        # Always a new file, since only the owner of a file may set its times, and a group may share the checkout.
        write_text(trigger, f"{time.time_ns()}\n" if is_new else trigger.read_text(encoding="utf-8"))
        newest = max((time for _, time in _find_times(root, stage)), default=now)
        modified = max(now, newest + 1) if stage.name in names else LONG_AGO
        os.utime(trigger, (modified, modified))


def clamp_times(root: Path, stages: Iterable[Stage]) -> None:
    """Set the times of the stages' triggers, inputs and outputs that lie in the future to now.

    After a job, Snakemake takes an input that is newer than the outputs for a clock that is wrong, and stops.
    """
    now = time.time()
    for stage in stages:
        paths = [root / path for path in (trigger_path(stage.name), *map(find_file, stage.data))]
        inputs = [(path, path.stat().st_mtime) for path in paths if path.is_file()]
        for path, modified in (*inputs, *_find_times(root, stage)):
            if modified > now:
                os.utime(path, (now, now))


def copy_linked_outputs(root: Path, stage: Stage) -> None:
    """Replace the outputs of a stage that are links into DVC's cache by copies.

    If the stage fails, Snakemake writes the previous content back into these files, and must not write into the cache.
    """
    for path, _ in _find_times(root, stage):
        if path.is_symlink() or path.stat().st_nlink > 1:
            with write_atomically(path) as copy:
                shutil.copyfile(path, copy)


def _find_times(root: Path, stage: Stage) -> Iterator[tuple[Path, float]]:
    """Yield the outputs of a stage that exist, as Snakemake knows them, with their modification times."""
    for out in stage.outs:
        path = root / find_file(out)
        if path.is_file():
            yield path, path.stat().st_mtime
