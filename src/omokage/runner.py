"""Runs one stage sealed: it is handed what dvc.yaml declares for it, and nothing else.

    python -m omokage.runner STAGE --threads N [--part K/N] [--alone] [--log-to FILE]

Outputs appear only when the stage has succeeded, its record (results/runs/STAGE.json) last. Snakemake calls this for
every job; the stages know nothing of it. A stage runs once at a time: where an earlier run of it still lives, it is
waited for, and what it made is taken over if it fits.
"""

import argparse
import contextlib
import fcntl
import importlib
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from omokage import pipeline, slurm
from omokage.checkout import main_checkout
from omokage.errors import Interrupted, Refused
from omokage.job import Job
from omokage.locks import hold
from omokage.params import whole
from omokage.pipeline import Stage

PARTIAL = ".partial-"
# The exit code after SIGTERM, EX_TEMPFAIL of sysexits.h: nothing is wrong, run the same again.
RESUME_ME = 75
# DVC has deleted the stage's outputs by then.
RESTORE = " (with the last run's parameters and files, `dvc repro` restores its results)"


class Tee:
    """A stream that is also written to a log file; what is a terminal stays one."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self.stream, self.log = stream, log

    def write(self, text: str) -> int:
        self.log.write(text)
        return self.stream.write(text)

    def flush(self) -> None:
        self.log.flush()
        self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def work_folder(root: Path) -> Path:
    """Return where partial work lies: in the main checkout, so that it outlives a temporary experiment."""
    return main_checkout(root) / ".dvc" / "tmp" / "omokage"


def prepare(root: Path, stage: Stage, threads: int, live: tuple[str, ...] = ()) -> Job[Any]:
    """Return the job of `stage`: its parameters checked against its part of the schema, its inputs hashed.

    Raises Refused where an input is missing, or a package is not the one that the cache is keyed by.
    """
    values = whole.load(root / "params.yaml")
    declared = stage.chosen(values)
    if stage.params is None:
        params: Any = whole.check(values)
    else:
        schema = importlib.import_module(f"omokage.params.{stage.name}").Params
        if set(stage.params) != set(schema.model_fields):
            difference = sorted(set(stage.params) ^ set(schema.model_fields))
            raise Refused(
                f"dvc.yaml and {schema.__module__} do not declare the same parameters: {', '.join(difference)}"
            )
        params = whole.validated(schema, declared)
    if main_checkout(root) != root.resolve() and "checkout" not in _text(root / ".dvc" / "config.local"):
        raise Refused(
            "the main checkout's DVC does not say where it lies, so `folder` is not found: run `make install`"
        )
    places = {dep: pipeline.locate(root, dep, values) for dep in stage.deps}
    for place in places.values():
        if not place.exists():
            raise Refused(f"{place} is missing: a stage before this one makes it (`dvc repro`), or git restores it")
    outs = [out for out in stage.outs if out != stage.record]
    job = Job(
        params=params,
        inputs={dep: places[dep] for dep in stage.data},
        outputs={out: root / out if out in live else _partial(root / out) for out in outs},
        work=Path(),
        threads=threads,
        deps={dep: pipeline.digest(places[dep]) for dep in stage.data},
        code={dep: pipeline.digest(places[dep]) for dep in stage.code},
        packages=_installed(pipeline.packages(root, stage)),
    )
    identity = [stage.name, declared, job.deps, job.code, job.packages]
    fingerprint = sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return job.at(work_folder(root) / f"{stage.name}-{fingerprint}")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _partial(path: Path) -> Path:
    return path.with_name(f"{PARTIAL}{path.name}")


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a live output is written anew."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


def _installed(wanted: dict[str, str]) -> dict[str, str]:
    for name, version in wanted.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "no version"
        if installed != version:
            raise Refused(
                f"{name}: {installed} is installed, but the cache is keyed by {version} (workflow/packages): "
                "install the pinned packages with `make`, or pin yours with `make deps`"
            )
    return wanted


def run(root: Path, name: str, threads: int, part: tuple[int, int] | None = None, alone: bool = False) -> None:
    """Run the stage `name` of the checkout `root`, or a part of its fan-out, which leaves pieces in its work folder.

    With `alone` it waits until no other such run of the checkout's experiments computes on this machine.
    """
    stage = pipeline.read(root)[name]
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads > available:
        raise Refused(
            f"{threads} threads are asked for, but there are {available}: the number changes the last bits of sums"
        )
    before = _loaded()
    module = importlib.import_module(f"omokage.stages.{name}")
    live: tuple[str, ...] = getattr(module, "LIVE", ())
    job = prepare(root, stage, threads, live)
    if part is not None:
        number, parts = part
        with hold(job.work.with_suffix(f".{number}-of-{parts}.lock"), f"part {number} of {name}"):
            module.part(job, number, parts)
        return
    if int(os.environ.get("RANK", 0)) > 0:
        module.assist(job)
        return
    here = root / ".dvc" / "tmp" / "omokage" / f"{name}.lock"
    # In one workspace two runs would write the same outputs; two experiments may share a run's partial work.
    with hold(here, name) as waited, hold(job.work.with_suffix(".lock"), name):
        if waited and _fits(root, stage, job):
            print(f"omokage: {name}: what that run made fits, and is used", file=sys.stderr)
            return
        with _device(root, name) if alone else contextlib.nullcontext():
            started = time.monotonic()
            found = {path: _stamp(path) for path in job.outputs.values()}
            try:
                with _kept([job.outputs[out] for out in live]):
                    _make(root, stage, job, module, before)
            except BaseException:
                for path in job.outputs.values():
                    if path.name.startswith(PARTIAL) or _stamp(path) != found[path]:
                        _remove(path)
                raise
        shutil.rmtree(job.work, ignore_errors=True)
    _note_time(root, name, time.monotonic() - started)
    if stage.left_out and "DVC_STAGE" in os.environ:
        # Imported here alone: every stage would wait for DVC.
        importlib.import_module("omokage.run_cache").keep(root, name)


def _device(root: Path, name: str) -> contextlib.AbstractContextManager[bool]:
    """Lock this machine for one run that computes, of all the checkout's experiments."""
    path = work_folder(root) / f"device-{socket.gethostname()}.lock"
    return hold(path, name, "computes on this machine (share_device: 0)")


def _make(root: Path, stage: Stage, job: Job[Any], module: ModuleType, before: set[str]) -> None:
    for path in job.outputs.values():
        if path.name.startswith(PARTIAL):
            _remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    module.run(job)
    _check_seal(stage, before)
    for out, path in job.outputs.items():
        if path != root / out:
            _remove(root / out)
            path.replace(root / out)
        elif not path.exists():
            _partial(path).replace(path)
    # A list, so that DVC's tables of metrics do not take the parameters for scores.
    _write(root / stage.record, json.dumps([_record(root, stage, job)], indent=1, sort_keys=True) + "\n")


def _loaded() -> set[str]:
    return {module for module in sys.modules if module == "omokage" or module.startswith("omokage.")}


def _check_seal(stage: Stage, before: set[str]) -> None:
    """Raise if the stage loaded code that dvc.yaml does not declare for it: the cache would not notice an edit."""
    files = {Path(str(sys.modules[module].__file__)) for module in _loaded() - before}
    here = Path(__file__).parent
    loaded = {f"src/omokage/{file.relative_to(here).as_posix()}" for file in files}
    if undeclared := sorted(loaded - set(stage.code)):
        raise Refused(f"stage {stage.name} loads {', '.join(undeclared)}, which dvc.yaml does not list among its deps")


@contextlib.contextmanager
def _kept(live: Sequence[Path]) -> Iterator[None]:
    """Keep the live outputs under a second name: a `dvc repro` that is to wait for this run deletes them first."""
    for path in live:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch()
        _remove(_partial(path))
        with contextlib.suppress(OSError):  # a file system without hard links
            _partial(path).hardlink_to(path)
    try:
        yield
    finally:
        for path in live:
            _remove(_partial(path))


def _fits(root: Path, stage: Stage, job: Job[Any]) -> bool:
    """Return whether the results that are there are what this job would make."""
    if any(not (root / out).exists() for out in stage.outs):
        return False
    found = pipeline.read_record(root, stage)
    return found is not None and {**found, "facts": {}} == json.loads(json.dumps(_record(root, stage, job)))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _record(root: Path, stage: Stage, job: Job[Any]) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "params": job.params.values(),
        "deps": job.deps,
        "code": job.code,
        "packages": job.packages,
        "outs": {out: pipeline.digest(root / out) for out in job.outputs},
        "threads": job.threads,
        "facts": job.facts,
    }


def _note_time(root: Path, name: str, seconds: float) -> None:
    path = root / "results" / "timings.json"
    lock = root / ".dvc" / "tmp" / "omokage" / "timings.lock"
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        times: Mapping[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        _write(path, json.dumps({**times, name: {"seconds": round(seconds, 1)}}, indent=1, sort_keys=True) + "\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _stop(*_: object) -> None:
    raise Interrupted("stopped: the same command goes on from there")


def main() -> int:
    """Run the stage named on the command line; a user's mistake is one line, and exit code 1."""
    # Under SLURM it announces the end of the time; a training has a way of its own to answer. Ctrl-C asks for the same.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, lambda *_: signal.raise_signal(signal.SIGTERM))
    parser = argparse.ArgumentParser(prog="omokage.runner", description="run one stage, sealed")
    parser.add_argument("stage")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--part", type=lambda text: tuple(int(number) for number in text.split("/")))
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--log-to", type=Path)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.log_to:
            arguments.log_to.parent.mkdir(parents=True, exist_ok=True)
            log = stack.enter_context(arguments.log_to.open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stderr(Tee(sys.stderr, log)))
        try:
            run(Path.cwd(), arguments.stage, arguments.threads, arguments.part, arguments.alone)
        except Refused as error:
            hint = RESTORE if "DVC_STAGE" in os.environ and arguments.stage != "params" else ""
            print(f"omokage: {arguments.stage}: {error}{hint}", file=sys.stderr)
            return 1
        except Interrupted as error:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print(f"omokage: {arguments.stage}: {error}", file=sys.stderr)
            if int(os.environ.get("RANK", 0)) == 0 and slurm.requeue():
                print(f"omokage: {arguments.stage}: SLURM job {slurm.this_job()} is queued again", file=sys.stderr)
            return RESUME_ME
        except Exception:
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
