"""Run one stage, sealed: the stage gets only the parameters, inputs and code that dvc.yaml declares for it.

Outputs move into place only after the stage has succeeded, and its run record is written last. Runs of one stage never
overlap: a second run waits for the first, and uses its results if both have the same parameters, inputs and code.
"""

import contextlib
import importlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omokage.base.checkout import local_folder, work_folder
from omokage.base.files import PARTIAL, hash_tree, partial_path, remove
from omokage.base.job import Job
from omokage.config.yaml_file import load_yaml
from omokage.pipeline.durations import record_duration
from omokage.pipeline.file_lock import hold_lock
from omokage.pipeline.graph import Stage, read_stages
from omokage.pipeline.prepare import prepare_job
from omokage.pipeline.rule_files import copy_linked_outputs
from omokage.pipeline.seal import check_seal, hide_loaded_modules
from omokage.pipeline.stale import find_record
from omokage.pipeline.timings import write_seconds
from omokage.stamps.records import write_record


def run_stage(
    root: Path, name: str, threads: int, part: tuple[int, int] | None = None, exclusive: bool = False
) -> None:
    """Run the stage `name` of the checkout `root`.

    With `part` (k, n), do only part k of n parts of the work; the results go to the work folder. With `exclusive`, wait
    until no other exclusive run of the checkout or its experiments is active on this machine.
    """
    _warn_of_few_cores(name, threads)
    stage = read_stages(root)[name]
    with hide_loaded_modules(root):
        module = importlib.import_module(f"omokage.stages.{name}")
        live: tuple[str, ...] = getattr(module, "LIVE", ())
        job = prepare_job(root, stage, threads, live)
        if part is not None:
            number, parts = part
            with hold_lock(job.work.with_suffix(f".{number}-of-{parts}.lock"), f"part {number} of {name}"):
                module.run_part(job, number, parts)
                check_seal(root, stage)
        elif int(os.environ.get("RANK", 0)) > 0:
            module.run_worker(job)
            check_seal(root, stage)
        else:
            _run_whole(root, stage, job, module, live, exclusive)
    is_whole = part is None and int(os.environ.get("RANK", 0)) == 0
    if is_whole and stage.skips_run_cache and "DVC_STAGE" in os.environ:
        # Imported late, since loading DVC takes a second.
        importlib.import_module("omokage.pipeline.dvc_run_cache").save_run(root, name)


def _warn_of_few_cores(name: str, threads: int) -> None:
    """Print a warning if the stage has more threads than cores: results do not depend on the cores, the time does."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads > available:
        print(f"omokage: {name}: {threads} threads share {available} core(s), which takes longer", file=sys.stderr)


def _run_whole(root: Path, stage: Stage, job: Job[Any], module: Any, live: Sequence[str], exclusive: bool) -> None:
    """Run a stage under its locks, and record its duration in results/timings.json; if it fails, remove its outputs.

    `live` are the outputs that the stage writes in place while it runs, such as the loss table. With `exclusive`, the
    stage waits until no other exclusive run uses this machine (see `run_stage`).
    """
    name = stage.name
    workspace_lock = local_folder(root) / f"{name}.lock"
    # The first lock protects the outputs in this workspace, the second partial work, which experiments may share.
    with hold_lock(workspace_lock, name) as has_waited, hold_lock(job.work.with_suffix(".lock"), name):
        if has_waited and _fits(root, stage, job):
            print(f"omokage: {name}: the results of that run fit and are used", file=sys.stderr)
            return
        with _lock_device(root, name) if exclusive else contextlib.nullcontext():
            copy_linked_outputs(root, stage)
            values, is_new = load_yaml(root / "params.yaml"), not job.work.exists()
            started = time.monotonic()
            before = {path: _identify(path) for path in job.outputs.values()}
            try:
                with _keep_live_outputs([job.outputs[out] for out in live]):
                    record = _make_outputs(root, stage, job, module)
            except BaseException:
                for path in job.outputs.values():
                    if path.name.startswith(PARTIAL) or _identify(path) != before[path]:
                        remove(path)
                raise
        # Another job of a fan-out may still hold a file there; the results are already in place.
        shutil.rmtree(job.work, ignore_errors=True)
    # The time of a run that resumed, or collected the results of other jobs, is not that of the whole run.
    if is_new:
        seconds = time.monotonic() - started
        write_seconds(root, record, seconds)
        # Predictions are for one process.
        if int(os.environ.get("WORLD_SIZE", 1)) == 1:
            record_duration(root, name, values, seconds, job.threads)


def _lock_device(root: Path, name: str) -> contextlib.AbstractContextManager[bool]:
    """Hold the lock under which only one exclusive run of the checkout or its experiments uses this machine."""
    path = work_folder(root) / f"device-{socket.gethostname()}.lock"
    return hold_lock(path, name, "computes on this machine (share_device: 0)")


def _make_outputs(root: Path, stage: Stage, job: Job[Any], module: Any) -> dict[str, Any]:
    """Run the stage, check its seal, and move its outputs into place, its record last; return the record."""
    for path in job.outputs.values():
        if path.name.startswith(PARTIAL):
            remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    module.run(job)
    check_seal(root, stage)
    for out, path in job.outputs.items():
        if path != root / out:
            remove(root / out)
            path.replace(root / out)
            _follow_umask(root / out)
        elif not path.exists():
            partial_path(path).replace(path)
    record = _describe_run(root, stage, job)
    write_record(root / stage.record, record)
    return record


def _follow_umask(out: Path) -> None:
    """Give an output the permissions of a new file or folder: some libraries write files that only the owner reads."""
    os.umask(umask := os.umask(0))
    for path in [out, *out.rglob("*")]:
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)


def _describe_run(root: Path, stage: Stage, job: Job[Any]) -> dict[str, Any]:
    """Return the content of the run record; all outputs must be in place."""
    return {
        "stage": stage.name,
        "params": job.params.values(),
        "deps": job.deps,
        "code": job.loaded_code(),
        "code_deps": job.code_deps,
        "packages": job.packages,
        "outs": {out: hash_tree(root / out) for out in job.outputs},
        "threads": job.threads,
        "facts": job.facts,
    }


def _fits(root: Path, stage: Stage, job: Job[Any]) -> bool:
    """Return whether all outputs exist and the run record describes this job: same parameters, inputs and code."""
    if any(not (root / out).exists() for out in stage.outs):
        return False
    record, expected = find_record(root, stage), json.loads(json.dumps(_describe_run(root, stage, job)))
    # `code` (the loaded modules) and `facts` (how the stage ran) are known only after a run.
    return record is not None and {**record, "code": {}, "facts": {}} == {**expected, "code": {}}


@contextlib.contextmanager
def _keep_live_outputs(live: Sequence[Path]) -> Iterator[None]:
    """Keep `live` outputs (written in place) under a second name: another `dvc repro` deletes them before it waits."""
    for path in live:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch()
        remove(partial_path(path))
        with contextlib.suppress(OSError):  # a file system without hard links
            partial_path(path).hardlink_to(path)
    try:
        yield
    finally:
        for path in live:
            remove(partial_path(path))


def _identify(path: Path) -> tuple[int, int] | None:
    """Return the inode and modification time of a file, to notice that it was rewritten; None if there is no file."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None
