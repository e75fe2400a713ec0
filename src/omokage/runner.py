"""Runs one stage sealed: it is handed what dvc.yaml declares for it, and nothing else.

    python -m omokage.runner STAGE --threads N [--part K/N] [--log-to FILE]

Outputs appear only when the stage has succeeded, its record (results/runs/STAGE.json) last. Snakemake calls this for
every job; the stages know nothing of it.
"""

import argparse
import contextlib
import fcntl
import importlib
import importlib.metadata
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from omokage import pipeline
from omokage.checkout import main_checkout
from omokage.errors import Interrupted, Refused
from omokage.job import Job
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


def run(root: Path, name: str, threads: int, part: tuple[int, int] | None = None) -> None:
    """Run the stage `name` of the checkout `root`, or a part of its fan-out, which leaves pieces in its work folder."""
    stage = pipeline.read(root)[name]
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads > available:
        raise Refused(
            f"{threads} threads are asked for, but there are {available}: the number changes the last bits of sums"
        )
    started = time.monotonic()
    before = _loaded()
    module = importlib.import_module(f"omokage.stages.{name}")
    live: tuple[str, ...] = getattr(module, "LIVE", ())
    job = prepare(root, stage, threads, live)
    if part is not None:
        module.part(job, *part)
        return
    if int(os.environ.get("RANK", 0)) > 0:
        module.assist(job)
        return
    here = root / ".dvc" / "tmp" / "omokage" / f"{name}.lock"
    with _lock(here, name, wait=False), _lock(job.work.with_suffix(".lock"), name, wait=True):
        found = {path: _stamp(path) for path in job.outputs.values()}
        try:
            _make(root, stage, job, module, before)
        except BaseException:
            for path in job.outputs.values():
                if path.name.startswith(PARTIAL) or _stamp(path) != found[path]:
                    _remove(path)
            raise
        shutil.rmtree(job.work, ignore_errors=True)
    _note_time(root, name, time.monotonic() - started)


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
    _write_record(root, stage, job)


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
def _lock(path: Path, name: str, wait: bool) -> Iterator[None]:
    """Hold a lock that the system gives back even when the process is killed; raise Refused, or wait, while it is held.

    In one workspace two runs would write the same outputs. Two experiments may share a run's fingerprint, and so its
    partial work: the second waits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            if not wait:
                raise Refused(f"stage {name} is already running here (process {holder}): wait, or end it") from error
            print(f"omokage: {name}: waiting for process {holder}, which runs the very same", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_record(root: Path, stage: Stage, job: Job[Any]) -> None:
    record = {
        "stage": stage.name,
        "params": job.params.values(),
        "deps": job.deps,
        "code": job.code,
        "packages": job.packages,
        "outs": {out: pipeline.digest(root / out) for out in job.outputs},
        "threads": job.threads,
        "facts": job.facts,
    }
    # A list, so that DVC's tables of metrics do not take the parameters for scores.
    _write(root / stage.record, json.dumps([record], indent=1, sort_keys=True) + "\n")


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


def main() -> int:
    """Run the stage named on the command line; a user's mistake is one line, and exit code 1."""
    parser = argparse.ArgumentParser(prog="omokage.runner", description="run one stage, sealed")
    parser.add_argument("stage")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--part", type=lambda text: tuple(int(number) for number in text.split("/")))
    parser.add_argument("--log-to", type=Path)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.log_to:
            arguments.log_to.parent.mkdir(parents=True, exist_ok=True)
            log = stack.enter_context(arguments.log_to.open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stderr(Tee(sys.stderr, log)))
        try:
            run(Path.cwd(), arguments.stage, arguments.threads, arguments.part)
        except Refused as error:
            hint = RESTORE if "DVC_STAGE" in os.environ and arguments.stage != "params" else ""
            print(f"omokage: {arguments.stage}: {error}{hint}", file=sys.stderr)
            return 1
        except Interrupted as error:
            print(f"omokage: {arguments.stage}: {error}", file=sys.stderr)
            return RESUME_ME
        except Exception:
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
