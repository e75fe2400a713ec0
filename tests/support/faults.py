"""Faults that disturb `dvc repro` at a random moment. Running `dvc repro` again must repair everything.

Each fault is a function of a clone, a random generator and the seconds that an undisturbed run takes. The function
returns a description of what it did. It raises FaultMissedError if the fault had no effect, for example because the run
had already ended.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil

from support.clone import Clone
from support.sessions import output_path, start_session

Fault = Callable[[Clone, random.Random, float], str]

# Level -> a part of the command line of its processes, and whether their parent is torchrun.
LEVELS = {
    "dvc": ("-m dvc repro", False),
    "snakemake": ("-m omokage.pipeline.launch", False),
    "job": ("-m omokage.pipeline.runner", False),
    "rank": ("-m omokage.pipeline.runner train", True),
}
LINK_TYPES = ("copy", "hardlink", "symlink", "reflink")
TIMEOUT = 300.0  # seconds that any run of the tiny pipeline may take
TIME_TO_STOP = 15.0  # seconds
# Changes the time of day that programs see, but not the clock that measures durations.
FAKE_TIME = ("faketime", "--exclude-monotonic", "-f")
# Under faketime, time.sleep fails, because it waits for an absolute time of the monotonic clock. This sitecustomize.py
# replaces it.
SITE_CUSTOMIZE = "import select, time\ntime.sleep = lambda seconds: select.select((), (), (), seconds) and None\n"
# The capabilities by which root may write anywhere.
WRITE_CAPABILITIES = ("-dac_override", "-dac_read_search", "-fowner")


class FaultMissedError(Exception):
    """The fault had no effect on the run."""


def start_repro(clone: Clone, *wrapper: str) -> subprocess.Popen[bytes]:
    """Start `dvc repro` in a new session, without preloading; `wrapper` is a command to put before `dvc repro`."""
    clone.without_preloading()
    return start_session(clone, [*wrapper, sys.executable, "-m", "dvc", "repro"], clone.build_environment())


def find_process(run: subprocess.Popen[bytes], level: str) -> psutil.Process | None:
    """Return the newest process of a level among the run and its descendants; None if there is none."""
    command, below_torchrun = LEVELS[level]
    found = None
    try:
        top = psutil.Process(run.pid)
        for process in (top, *top.children(recursive=True)):
            if command in " ".join(process.cmdline()) and (not below_torchrun or _is_torchrun(process.parent())):
                found = process
    except psutil.NoSuchProcess:
        return None
    return found


def _is_torchrun(process: psutil.Process | None) -> bool:
    return process is not None and "torch.distributed.run" in " ".join(process.cmdline())


def start_and_wait(
    clone: Clone, generator: random.Random, seconds: float, *wrapper: str
) -> tuple[subprocess.Popen[bytes], str]:
    """Start a run, wait for a random part of `seconds`, and return the run and how long it had been running."""
    run, delay = start_repro(clone, *wrapper), generator.uniform(0, 0.9 * seconds)
    with suppress(subprocess.TimeoutExpired):
        run.wait(timeout=delay)
        raise FaultMissedError(f"the run ended before {delay:.1f} s")
    return run, f"after {delay:.1f} s"


def signal_process(
    level: str, number: signal.Signals, clone: Clone, generator: random.Random, seconds: float, *wrapper: str
) -> str:
    """Send a signal to one process of a level, and none to the others."""
    run, moment = start_and_wait(clone, generator, seconds, *wrapper)
    started = time.monotonic()
    while run.poll() is None:
        assert time.monotonic() - started < TIMEOUT, "dvc repro hangs"
        with suppress(psutil.NoSuchProcess):
            if process := find_process(run, level):
                process.send_signal(number)
                run.wait(timeout=TIMEOUT)
                return moment
        time.sleep(0.02)
    raise FaultMissedError(f"no process of level {level} was found {moment}")


def press_ctrl_c(clone: Clone, generator: random.Random, seconds: float) -> str:
    """Interrupt all processes of a run, as a terminal does; all of them must end within TIME_TO_STOP."""
    run, moment = start_and_wait(clone, generator, seconds)
    os.killpg(run.pid, signal.SIGINT)
    started = time.monotonic()
    run.wait(timeout=TIMEOUT)
    while processes := find_processes(clone):
        assert time.monotonic() - started < TIME_TO_STOP, processes
        time.sleep(0.1)
    return f"{moment}, and all processes ended {time.monotonic() - started:.1f} s later"


def cut_power(clone: Clone, generator: random.Random, seconds: float) -> str:
    """Kill all processes of a run at once."""
    run, moment = start_and_wait(clone, generator, seconds)
    for process in find_processes(clone):
        process.kill()
    run.wait()
    return moment


def limit_file_size(clone: Clone, generator: random.Random, seconds: float) -> str:
    """Limit the size of every file that a run writes, as a full disk does."""
    size = round(10 ** generator.uniform(3, 5.3))
    run = start_repro(clone, "prlimit", f"--fsize={size}")
    if not run.wait(timeout=TIMEOUT):
        raise FaultMissedError(f"the run succeeded with files of at most {size} bytes")
    return f"files of at most {size} bytes"


@contextmanager
def mount_small_disk(clone: Clone) -> Iterator[Callable[[str], object]]:
    """Mount a small disk (needs root), move the clone to it, and yield a function that changes the size of the disk."""
    mount = partial(subprocess.run, check=True)
    original = clone.root.with_name(f"{clone.root.name} (original)")
    clone.root.rename(original)
    clone.root.mkdir()
    mount(["mount", "-t", "tmpfs", "-o", "size=1g", "omokage", str(clone.root)])
    try:
        shutil.copytree(original, clone.root, symlinks=True, dirs_exist_ok=True)
        yield lambda size: mount(["mount", "-o", f"remount,size={size}", str(clone.root)])
        shutil.rmtree(original)
        shutil.copytree(clone.root, original, symlinks=True)
    finally:
        mount(["umount", "--lazy", str(clone.root)])
        clone.root.rmdir()
        original.rename(clone.root)


def fill_disk(clone: Clone, generator: random.Random, seconds: float) -> str:
    """Leave less free space on the clone's disk than a run needs."""
    with mount_small_disk(clone) as resize:
        free = round(10 ** generator.uniform(3.5, 5.5))
        resize(str(shutil.disk_usage(clone.root).used + free))
        run = start_repro(clone)
        if not run.wait(timeout=TIMEOUT):
            raise FaultMissedError(f"the run succeeded with {free} bytes free")
        return f"{free} bytes free"


def make_cache_read_only(clone: Clone, generator: random.Random, seconds: float) -> str:
    """Make DVC's cache read-only during a run, even for root."""
    cache = clone.root / ".dvc" / "cache"
    folders = [cache, *(path for path in cache.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        dropped = ",".join(WRITE_CAPABILITIES)
        run = start_repro(clone, "setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}")
        if not run.wait(timeout=TIMEOUT):
            raise FaultMissedError("the run succeeded with a read-only cache")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    return "the whole cache"


def set_clock_back(clone: Clone, generator: random.Random, seconds: float) -> str:
    """Kill a job of a run whose clock is days ahead, so that the next run finds files from the future."""
    days, folder = generator.randint(1, 9), clone.root / "src"
    (folder / "sitecustomize.py").write_text(SITE_CUSTOMIZE)
    wrapper = ("env", f"PYTHONPATH={folder}", *FAKE_TIME, f"+{days}d")
    moment = signal_process("job", signal.SIGKILL, clone, generator, seconds, *wrapper)
    (folder / "sitecustomize.py").unlink()
    return f"{days} days, killed {moment}"


FAULTS: dict[str, Fault] = {
    **{
        f"{number.name} to {level}": partial(signal_process, level, number)
        for level in LEVELS
        for number in (signal.SIGKILL, signal.SIGTERM)
    },
    "Ctrl-C": press_ctrl_c,
    "power cut": cut_power,
    "small files": limit_file_size,
    "full disk": fill_disk,
    "read-only cache": make_cache_read_only,
    "clock set back": set_clock_back,
}


def cause_fault(
    name: str, make_clone: Callable[[], Clone], generator: random.Random, seconds: float
) -> tuple[Clone, str]:
    """Disturb a run in a new clone, again if the fault had no effect; return the clone and what the fault did.

    `seconds` is the time that an undisturbed run takes. Raises FaultMissedError after five runs without an effect.
    """
    for _ in range(5):
        clone = make_clone()
        try:
            return clone, FAULTS[name](clone, generator, seconds)
        except FaultMissedError as error:
            print(f"{name}: {error}; trying again", file=sys.stderr)
            shutil.rmtree(clone.root)
    raise FaultMissedError(f"{name}: the fault had no effect in five runs")


def find_processes(clone: Clone) -> list[psutil.Process]:
    """Return the processes whose working folder is in the clone."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(clone.root):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def repro_until_success(clone: Clone, tries: int = 3) -> int:
    """Run `dvc repro` until it succeeds, and return the number of tries; fail after `tries`, and show the output."""
    for number in range(1, tries + 1):
        if start_repro(clone).wait(timeout=TIMEOUT) == 0:
            return number
    raise AssertionError(output_path(clone).read_text()[-4000:])
