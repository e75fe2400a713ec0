"""When Snakemake itself fails, the cause is said at the end of the output and in the stage's log."""

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.clone import Clone, skip_unless_installed
from support.faults import WRITE_CAPABILITIES, mount_small_disk

DEFAULT = "workflow/profiles/default/config.yaml"
SBATCH = """#!/bin/sh
echo 'sbatch: error: invalid partition specified: nowhere' >&2
exit 1
"""
# Runs a command as root without the right to write anywhere.
WITHOUT_RIGHTS = ("setpriv", f"--bounding-set={','.join(WRITE_CAPABILITIES)}")
SLURM = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
SLOW = pytest.mark.slow


@dataclass(frozen=True)
class Failure:
    """A way in which Snakemake fails: lines added to a file of the clone, or a preparation, and the message."""

    message: str
    profile: str = ""
    prepare: Callable[[Clone], object] = lambda clone: None
    command: tuple[str, ...] = ()


def lock_snakemake_folder(clone: Clone) -> None:
    """Make .snakemake read-only, as if it belonged to another user."""
    folder = clone.root / ".snakemake"
    for path in (folder, *(path for path in folder.iterdir() if path.is_dir())):
        path.chmod(0o555)


def use_slurm(clone: Clone, **programs: str) -> None:
    """Use the profile of SLURM with these programs, and hide those of SLURM that are installed."""
    folder = clone.root.parent / "programs"
    folder.mkdir()
    for path in Path("/usr/bin").iterdir():
        if path.name not in SLURM:
            (folder / path.name).symlink_to(path)
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    clone.extra_environment.update(PATH=str(folder), SNAKEMAKE_PROFILE="workflow/profiles/slurm")


def end_with_a_signal(clone: Clone) -> None:
    """Let the stage `params` kill its own process, as the system does when memory runs out."""
    code = clone.root / "src" / "omokage" / "stages" / "params.py"
    code.write_text(f"{code.read_text()}\nimport os\n\nos.kill(os.getpid(), 9)\n")


FAILURES = {
    "unknown key in a profile": Failure("unrecognized arguments: --nonsense=3", "nonsense: 3\n"),
    "profile is no YAML": Failure("Couldn't parse config file: .*", "  x: [\n"),
    "unknown executor": Failure("argument --executor/-e: invalid choice: 'nowhere'", "executor: nowhere\n"),
    "missing configfile": Failure("No such file or directory: 'nowhere.yaml'", "configfile: nowhere.yaml\n"),
    "bad resource": Failure(
        "Resource 'mem_mb' assigned callable that returned 'much", "set-resources:\n  params: {mem_mb: much+1}\n"
    ),
    "missing profile": Failure(
        r"profile directory given \(nowhere\)",
        prepare=lambda clone: clone.extra_environment.update(SNAKEMAKE_PROFILE="nowhere"),
    ),
    "killed job": Failure(r"params: a job was killed by SIGKILL \(", prepare=end_with_a_signal),
    ".snakemake is not writable": Failure(
        r"Permission denied: '.*/\.snakemake/.*'",
        prepare=lock_snakemake_folder,
        command=WITHOUT_RIGHTS,
    ),
}
CHEAP = ("unknown key in a profile", "bad resource", "killed job")


def run_stage(clone: Clone, stage: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    """Run the command by which DVC runs a stage."""
    return clone.run(*prefix, "sh", "workflow/stage", stage, check=False)


def read_log(clone: Clone, stage: str) -> str:
    """Return the log that is kept of a stage."""
    return (clone.root / ".dvc" / "tmp" / "omokage" / "logs" / "workspace" / f"{stage}.log").read_text()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in CHEAP else pytest.mark.slow) for name in FAILURES]
)
def test_a_failure_of_snakemake_names_its_cause_last(copy_clone: Callable[[], Clone], name: str) -> None:
    failure = FAILURES[name]
    skip_unless_installed([program for program in failure.command[:1] if os.geteuid() == 0], "util-linux")
    clone = copy_clone().without_preloading()
    with (clone.root / DEFAULT).open("a") as profile:
        profile.write(failure.profile)
    failure.prepare(clone)
    done = run_stage(clone, "params", *(failure.command if os.geteuid() == 0 else ()))
    assert done.returncode != 0
    last = "\n".join(done.stderr.splitlines()[-3:])
    assert re.search(r"^omokage: params: ", last, re.MULTILINE) and re.search(failure.message, last), done.stderr
    assert done.stderr.count("\n") <= 4 and "Traceback" not in done.stderr and "usage:" not in done.stderr
    assert re.search(failure.message, read_log(clone, "params"))


@SLOW
def test_dvc_shows_the_cause_before_its_own_line(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone().without_preloading()
    with (clone.root / DEFAULT).open("a") as profile:
        profile.write("nonsense: 3\n")
    done = clone.dvc("repro", "--force", "--single-item", "params", check=False)
    cause, last = done.stderr.splitlines()[-2:]
    assert cause.endswith("unrecognized arguments: --nonsense=3") and last.startswith("ERROR: failed to reproduce")


@SLOW
@pytest.mark.parametrize("name", [name for name in FAILURES if name not in ("killed job",)])
def test_snakemake_alone_shows_the_cause_too(copy_clone: Callable[[], Clone], name: str) -> None:
    failure = FAILURES[name]
    clone = copy_clone().without_preloading()
    with (clone.root / DEFAULT).open("a") as profile:
        profile.write(failure.profile)
    failure.prepare(clone)
    clone.set_params(report_title="another")
    prefix = failure.command if os.geteuid() == 0 else ()
    done = clone.run(*prefix, clone.python, "-m", "snakemake", check=False)
    assert done.returncode != 0
    assert re.search(failure.message, "\n".join(done.stderr.splitlines()[-12:])), done.stderr


@SLOW
def test_an_answer_of_sbatch_is_shown(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone().without_preloading()
    use_slurm(clone, sbatch=SBATCH, **dict.fromkeys(("sacct", "sacctmgr", "sinfo", "squeue"), "#!/bin/sh\n"))
    done = run_stage(clone, "train")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("omokage: train: SLURM sbatch failed.")
    assert "invalid partition specified: nowhere" in done.stderr.splitlines()[-1]
    assert "invalid partition specified: nowhere" in read_log(clone, "train")


@SLOW
def test_a_missing_slurm_is_named(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone().without_preloading()
    use_slurm(clone)
    done = run_stage(clone, "train")
    assert done.returncode != 0
    assert re.search(r"^omokage: train: .*No such file or directory: 's\w+'", done.stderr, re.MULTILINE), done.stderr


@SLOW
@pytest.mark.skipif(os.geteuid() != 0, reason="a disk is mounted by root only")
def test_a_full_disk_is_named(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone().without_preloading()
    with mount_small_disk(clone) as resize:
        (clone.root / "filler").write_bytes(b"0" * 4096)
        used = sum(path.stat().st_blocks for path in clone.root.rglob("*") if path.is_file()) * 512
        resize(str(used + 200_000))
        done = run_stage(clone, "figures")
    assert done.returncode != 0
    assert re.search("^omokage: figures: .*No space left on device", done.stderr, re.MULTILINE), done.stderr


def test_bytes_that_are_no_text_disturb_neither_output_nor_log(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone().without_preloading()
    code = clone.root / "src" / "omokage" / "stages" / "params.py"
    code.write_text(f"{code.read_text()}\nimport os\n\nos.write(2, bytes([255]))\nraise OSError('name \\udcff')\n")
    command = ["sh", "workflow/stage", "params"]
    done = subprocess.run(command, cwd=clone.root, env=clone.build_environment(), capture_output=True, check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == rb"OSError: name \udcff" and b"\xff" in done.stderr
    assert read_log(clone, "params").splitlines()[-1] == r"OSError: name \udcff"


def test_a_log_that_cannot_be_written_is_named_and_fails_nothing(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    log = Path("results")  # a folder
    done = clone.run(
        clone.python,
        "-m",
        "omokage.pipeline.runner",
        "params",
        "--threads",
        "1",
        "--log-to",
        str(log),
        PYTHONPATH="src",
    )
    assert re.fullmatch(r"omokage: params: no log is kept: .*'results'\n", done.stderr)
