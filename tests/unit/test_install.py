"""The real Makefile and workflow/install.py, in a small checkout in which installing packages takes no time."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.clone import ROOT, Clone

LOCK = """nvidia-cublas==1 \\
    --hash=sha256:0
other==1
torch==1 \\
    --hash=sha256:1
torchvision==1
triton==1 ; sys_platform == 'linux'
uv==1 \\
    --hash=sha256:0
    # via omokage
"""
# Stands in for the standard library's venv, since `make` puts src on PYTHONPATH. Its programs log their arguments.
# They fail in a folder with the file `offline`, and wait in one with the file `slow`.
VENV = '''
import pathlib, sys
root = pathlib.Path(sys.argv[-1])
bin = root / "bin"
bin.mkdir(parents=True)
(root / "pyvenv.cfg").write_text(f"command = {root.resolve()}")
for name in ("python", "uv", "dvc", "ruff", "omokage"):
    program = bin / name
    program.write_text(f"""#!/bin/sh
echo {name} "$@" >> calls.txt
while [ {name} = uv ] && [ -e slow ]; do sleep 0.02; done
if [ {name} = uv ] && [ -e offline ]; then exit 1; fi
""")
    program.chmod(0o755)
'''


class Checkout:
    """A checkout with the Makefile, and a lock file that a stand-in for pip installs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("Makefile", "workflow/install.py"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
        (root / "src").mkdir()
        (root / "src" / "venv.py").write_text(VENV)
        (root / "requirements.lock").write_text(LOCK)
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)

    @property
    def environment(self) -> Path:
        return self.root / ".venv"

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        # Without the settings of the `make` that runs the tests.
        inherited = {key: value for key, value in os.environ.items() if "MAKE" not in key}
        return subprocess.run(
            ["make", f"PYTHON={sys.executable}", *arguments],
            cwd=self.root,
            env={**inherited, **Clone.git_identity(), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def list_calls(self) -> list[str]:
        calls = self.root / "calls.txt"
        return calls.read_text().splitlines() if calls.exists() else []

    def list_files(self) -> set[Path]:
        return {path for path in self.root.rglob("*") if ".git" not in path.parts}

    def start_make(self) -> "subprocess.Popen[bytes]":
        """Start `make install`, and return it when uv runs, which ends when the file `slow` is removed."""
        (self.root / "slow").touch()
        calls = len(self.list_calls())
        process = subprocess.Popen(
            ["make", "install", f"PYTHON={sys.executable}"], cwd=self.root, start_new_session=True
        )
        while not any(call.startswith("uv") for call in self.list_calls()[calls:]):
            time.sleep(0.02)
        return process

    def kill_make(self) -> None:
        """Kill `make install` while uv runs."""
        process = self.start_make()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        (self.root / "slow").unlink()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("target", ["why", "experiments", "lint", "pytest", "deps", "lock", "help"])
def test_a_question_builds_nothing(checkout: Checkout, target: str) -> None:
    before = checkout.list_files()
    done = checkout.make(target)
    assert checkout.list_files() == before
    assert done.returncode == (0 if target == "help" else 2)
    assert target == "help" or done.stderr.startswith("omokage: .venv is missing: run `make install`\n")


def test_an_environment_is_built_once_and_the_time_of_the_lock_does_not_matter(checkout: Checkout) -> None:
    assert checkout.make("install").returncode == 0
    calls = checkout.list_calls()
    assert [call.split()[0] for call in calls] == ["python", "uv", "uv", "dvc"]
    assert "--require-hashes --no-deps -r .venv.building/requirements.txt" in calls[0]
    assert (checkout.environment / "requirements.txt").read_text() == LOCK[LOCK.index("uv==1") :]
    assert (checkout.environment / "pyvenv.cfg").read_text() == f"command = {checkout.environment}"
    os.utime(checkout.root / "requirements.lock", (2**31, 2**31))
    (checkout.root / ".dvc" / "config.local").write_text("['remote \"checkout\"']")  # as the real dvc does
    assert checkout.make("install").returncode == 0 and checkout.list_calls() == calls
    assert checkout.make("why", "FIGURE=a.png").returncode == 0


def test_a_changed_lock_stops_questions_and_a_failing_installation_keeps_the_environment(checkout: Checkout) -> None:
    checkout.make("install")
    (checkout.environment / "mine").touch()
    (checkout.root / "requirements.lock").write_text(LOCK + "new==1\n")
    assert "belongs to another requirements.lock: run `make install`" in checkout.make("why").stderr
    (checkout.root / "offline").touch()
    done = checkout.make("install")
    assert done.returncode != 0 and "omokage: .venv is as it was before\n" in done.stderr
    assert "--require-hashes -r requirements.lock` failed with exit code 1\n" in done.stderr
    assert (checkout.environment / "mine").exists()
    (checkout.root / "requirements.lock").write_text(LOCK)
    assert checkout.make("why").returncode == 0
    (checkout.root / "requirements.lock").write_text(LOCK + "new==1\n")
    (checkout.root / "offline").unlink()
    assert checkout.make("install").returncode == 0
    assert not (checkout.environment / "mine").exists() and not (checkout.root / ".venv.old").exists()


@pytest.mark.parametrize("had_environment", [True, False])
def test_the_next_make_heals_an_installation_that_was_killed(checkout: Checkout, had_environment: bool) -> None:
    if had_environment:
        checkout.make("install")
        (checkout.environment / "mine").touch()
        (checkout.root / "requirements.lock").write_text(LOCK + "new==1\n")
    checkout.kill_make()
    assert (checkout.environment / "mine").exists() == had_environment
    assert "run `make install`" in checkout.make("why").stderr
    (checkout.root / "offline").touch()
    assert checkout.make("install").returncode != 0
    assert (checkout.environment / "mine").exists() == had_environment
    (checkout.root / "offline").unlink()
    assert checkout.make("install").returncode == 0
    assert checkout.make("why").returncode == 0 and not [*checkout.root.glob(".venv.*")]


def test_the_next_make_brings_back_an_environment_that_was_moved_away(checkout: Checkout) -> None:
    checkout.make("install")
    checkout.environment.rename(checkout.root / ".venv.old")  # where a killed installation may leave it
    (checkout.root / "offline").touch()
    assert checkout.make("install").returncode == checkout.make("why").returncode == 0


def test_offline_with_nothing_to_install_make_runs(checkout: Checkout) -> None:
    checkout.make("install")
    (checkout.root / "offline").touch()
    assert checkout.make("report").returncode == 0


def test_torch_comes_from_another_index_without_the_libraries_of_cuda(checkout: Checkout) -> None:
    index = {"OMOKAGE_TORCH_INDEX": "https://example.org/cpu"}
    assert checkout.make("install", **index).returncode == 0
    assert (checkout.environment / "requirements.txt").read_text() == "other==1\n" + LOCK[LOCK.index("uv==1") :]
    assert "--no-deps --index-url https://example.org/cpu torch==1 torchvision==1" in checkout.list_calls()[2]
    calls = len(checkout.list_calls())
    assert checkout.make("why").returncode == checkout.make("install").returncode == 0  # the choice is kept
    assert "uv" not in "".join(checkout.list_calls()[calls:])
    (checkout.root / "offline").touch()
    refused = checkout.make("install", OMOKAGE_TORCH_INDEX="https://me:secret@example.org/cpu")
    assert refused.returncode != 0 and "secret" not in refused.stderr
    (checkout.root / "offline").unlink()
    assert checkout.make("install", OMOKAGE_TORCH_INDEX="").returncode == 0
    assert "--require-hashes -r requirements.lock" in checkout.list_calls()[-3]


def test_two_installations_at_once_build_one_environment(checkout: Checkout) -> None:
    first = checkout.start_make()
    second = subprocess.Popen(["make", "install", f"PYTHON={sys.executable}"], cwd=checkout.root)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.3)
    (checkout.root / "slow").unlink()
    assert (first.wait(), second.wait()) == (0, 0)
    assert [call.split()[0] for call in checkout.list_calls()].count("python") == 1


def test_make_ends_with_the_line_about_the_report(checkout: Checkout) -> None:
    assert checkout.make("PRESET=folder cpu-32").returncode == 0
    assert checkout.list_calls()[-4:] == [
        "omokage presets use folder cpu-32",
        "python -m omokage.cli.folder_check",
        "dvc repro",
        "python -m omokage.cli.report_line",
    ]


@pytest.mark.parametrize("target", ["report", "install", "test", "test-all", "why", "lint"])
def test_a_linked_environment_of_another_checkout_stays_as_it_is(checkout: Checkout, target: str) -> None:
    other = checkout.root / "other"
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python").touch()
    checkout.environment.symlink_to(other)
    before = checkout.list_files()
    done = checkout.make(target)
    assert done.returncode == 2 and done.stderr.count("omokage: ") == 1
    assert ".venv is " in done.stderr and checkout.list_files() == before


def test_a_moved_checkout_needs_a_new_environment(checkout: Checkout, tmp_path: Path) -> None:
    checkout.make("install")
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("Makefile", "workflow", "requirements.lock", ".venv"):
        (checkout.root / name).rename(moved / name)
    checkout.root = moved
    assert ".venv is incomplete, was moved, or belongs" in checkout.make("why").stderr


def test_a_checkout_without_git_is_refused_before_anything_is_installed(checkout: Checkout) -> None:
    shutil.rmtree(checkout.root / ".git")
    ceiling = {"GIT_CEILING_DIRECTORIES": str(checkout.root.parent)}
    for target in ("report", "install", "test"):
        done = checkout.make(target, **ceiling)
        assert done.returncode == 2 and done.stderr.count("omokage: ") == 1
        assert "DVC needs a git repository here (fatal: not a git repository" in done.stderr
    programs = checkout.root / "programs"
    programs.mkdir()
    for name in ("make", "sh"):
        (programs / name).symlink_to(shutil.which(name) or "")
    assert "git is not installed or not on PATH" in checkout.make("install", PATH=str(programs)).stderr
    assert checkout.list_calls() == [] and not checkout.environment.exists()
