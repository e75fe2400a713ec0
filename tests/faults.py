"""Faults that befall `dvc repro` at a random moment, and the way out: the same command again, and nothing else.

Each fault takes a clone, a source of chance and the seconds that an undisturbed run takes, and returns in words what it
did. NotSetError says that the run was over, or went well, before the fault could tell.
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
from conftest import Clone

Fault = Callable[[Clone, random.Random, float], str]

# What tells a process of each level by its command line, and whether it is a child of one of torchrun.
LEVELS = {
    "dvc": ("-m dvc repro", False),
    "snakemake": ("-m snakemake", False),
    "job": ("-m omokage.runner", False),
    "rank": ("-m omokage.runner train", True),
}
KINDS_OF_LINKS = ("copy", "hardlink", "symlink", "reflink")
AT_MOST = 300.0  # seconds that any run of the tiny pipeline may take
SECONDS_TO_STOP = 15.0
# What tells the time of day, but not what measures how long a wait is.
LATER = ("faketime", "--exclude-monotonic", "-f")
# There Python cannot sleep until a moment of the monotonic clock, as it would; put where Python finds it, this helps.
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select((), (), (), seconds) and None\n"
# Root may write anywhere; so as to be refused it runs without what lets it.
MORTAL = ("-dac_override", "-dac_read_search", "-fowner")


class NotSetError(Exception):
    """The fault did not happen."""


def start(clone: Clone, *before: str) -> subprocess.Popen[bytes]:
    """Start `dvc repro` in a session of its own, cold, behind a command that changes its surroundings."""
    clone.cold()
    with (clone.root / ".dvc" / "tmp" / "said").open("a") as said:
        return subprocess.Popen(
            [*before, sys.executable, "-m", "dvc", "repro"],
            cwd=clone.root,
            env=clone.surroundings(),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )


def of_level(run: subprocess.Popen[bytes], level: str) -> psutil.Process | None:
    """Return the newest process of a level below the run, or the run itself."""
    sign, below_torchrun = LEVELS[level]
    found = None
    try:
        top = psutil.Process(run.pid)
        for process in (top, *top.children(recursive=True)):
            if sign in " ".join(process.cmdline()) and (not below_torchrun or _is_torchrun(process.parent())):
                found = process
    except psutil.NoSuchProcess:
        return None
    return found


def _is_torchrun(process: psutil.Process | None) -> bool:
    return process is not None and "torch.distributed.run" in " ".join(process.cmdline())


def due(clone: Clone, chance: random.Random, seconds: float, *before: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a run, let a random part of its time pass, and return it with the moment in words."""
    run, after = start(clone, *before), chance.uniform(0, 0.9 * seconds)
    with suppress(subprocess.TimeoutExpired):
        run.wait(timeout=after)
        raise NotSetError(f"it was over before {after:.1f} s")
    return run, f"after {after:.1f} s"


def killed(
    level: str, number: signal.Signals, clone: Clone, chance: random.Random, seconds: float, *before: str
) -> str:
    """Send a signal to one process of a level, and leave the others to themselves."""
    run, moment = due(clone, chance, seconds, *before)
    began = time.monotonic()
    while run.poll() is None:
        assert time.monotonic() - began < AT_MOST, "dvc repro hangs"
        with suppress(psutil.NoSuchProcess):
            if process := of_level(run, level):
                process.send_signal(number)
                run.wait(timeout=AT_MOST)
                return moment
        time.sleep(0.02)
    raise NotSetError(f"no {level} was found {moment}")


def ctrl_c(clone: Clone, chance: random.Random, seconds: float) -> str:
    """Interrupt a run as a terminal does, all of its processes; they have to be gone in seconds."""
    run, moment = due(clone, chance, seconds)
    os.killpg(run.pid, signal.SIGINT)
    began = time.monotonic()
    run.wait(timeout=AT_MOST)
    while left := living(clone):
        assert time.monotonic() - began < SECONDS_TO_STOP, left
        time.sleep(0.1)
    return f"{moment}, and all gone {time.monotonic() - began:.1f} s later"


def power_cut(clone: Clone, chance: random.Random, seconds: float) -> str:
    """Kill all processes of a run at once."""
    run, moment = due(clone, chance, seconds)
    for process in living(clone):
        process.kill()
    run.wait()
    return moment


def small_files(clone: Clone, chance: random.Random, seconds: float) -> str:
    """Let no file grow beyond a size, as on a full disk."""
    size = round(10 ** chance.uniform(3, 5.3))
    run = start(clone, "prlimit", f"--fsize={size}")
    if not run.wait(timeout=AT_MOST):
        raise NotSetError(f"it went well with files of at most {size} bytes")
    return f"files of at most {size} bytes"


@contextmanager
def small_disk(clone: Clone) -> Iterator[Callable[[str], object]]:
    """Have the clone lie on a disk of its own (needs root), and yield what changes its size."""
    mount = partial(subprocess.run, check=True)
    aside = clone.root.with_name(f"{clone.root.name} aside")
    clone.root.rename(aside)
    clone.root.mkdir()
    mount(["mount", "-t", "tmpfs", "-o", "size=1g", "omokage", str(clone.root)])
    try:
        shutil.copytree(aside, clone.root, symlinks=True, dirs_exist_ok=True)
        yield lambda size: mount(["mount", "-o", f"remount,size={size}", str(clone.root)])
        shutil.rmtree(aside)
        shutil.copytree(clone.root, aside, symlinks=True)
    finally:
        mount(["umount", "--lazy", str(clone.root)])
        clone.root.rmdir()
        aside.rename(clone.root)


def full_disk(clone: Clone, chance: random.Random, seconds: float) -> str:
    """Leave some room on the clone's disk, less than a run needs."""
    with small_disk(clone) as resize:
        room = round(10 ** chance.uniform(3.5, 5.5))
        resize(str(shutil.disk_usage(clone.root).used + room))
        run = start(clone)
        if not run.wait(timeout=AT_MOST):
            raise NotSetError(f"it went well with room for {room} bytes")
        return f"room for {room} bytes"


def read_only_cache(clone: Clone, chance: random.Random, seconds: float) -> str:
    """Let nobody write into DVC's cache."""
    cache = clone.root / ".dvc" / "cache"
    folders = [cache, *(path for path in cache.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        without = ",".join(MORTAL)
        run = start(clone, "setpriv", f"--bounding-set={without}", f"--inh-caps={without}")
        if not run.wait(timeout=AT_MOST):
            raise NotSetError("it went well with a cache that cannot be written")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    return "all of it"


def clock_set_back(clone: Clone, chance: random.Random, seconds: float) -> str:
    """Kill a job of a run whose clock is some days ahead, so that what follows happens before it."""
    days, place = chance.randint(1, 9), clone.root / "src"
    (place / "sitecustomize.py").write_text(SLEEP)
    later = ("env", f"PYTHONPATH={place}", *LATER, f"+{days}d")
    told = killed("job", signal.SIGKILL, clone, chance, seconds, *later)
    (place / "sitecustomize.py").unlink()
    return f"{days} days, killed {told}"


FAULTS: dict[str, Fault] = {
    **{
        f"{number.name} to {level}": partial(killed, level, number)
        for level in LEVELS
        for number in (signal.SIGKILL, signal.SIGTERM)
    },
    "Ctrl-C": ctrl_c,
    "power cut": power_cut,
    "small files": small_files,
    "full disk": full_disk,
    "read-only cache": read_only_cache,
    "clock set back": clock_set_back,
}


def living(clone: Clone) -> list[psutil.Process]:
    """Return the processes that work in the clone."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(clone.root):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def repaired(clone: Clone, tries: int = 3) -> int:
    """Run `dvc repro` until it succeeds, and return how often that was; fail with what it said."""
    for number in range(1, tries + 1):
        if start(clone).wait(timeout=AT_MOST) == 0:
            return number
    raise AssertionError((clone.root / ".dvc" / "tmp" / "said").read_text()[-4000:])
