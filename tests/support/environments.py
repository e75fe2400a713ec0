"""Environments in which people run the pipeline: how to set each up, and what is expected of a stage in it."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.clone import Clone, skip_unless_installed
from support.faults import WRITE_CAPABILITIES

IS_ROOT = os.geteuid() == 0
STAGE = ("sh", "workflow/stage", "params")
DVC = (sys.executable, "-m", "dvc", "repro", "--force", "--single-item")
EXPERIMENT = (sys.executable, "-m", "dvc", "exp", "run", "-S", "report_title=x", "params")
TEMPORARY = (sys.executable, "-m", "dvc", "exp", "run", "--temp", "-S", "report_title=x", "params")
# Runs a command as a user that /etc/passwd does not list, who may read all files: the interpreter may lie in /root.
USER, GROUP = 12345, 12346
AS_USER = (
    "setpriv",
    f"--reuid={USER}",
    f"--regid={USER}",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)
# The same for a user of a group that shares the checkout.
AS_MEMBER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", f"--groups={GROUP}", *AS_USER[-2:])
# Runs a command as root without the right to write anywhere.
WITHOUT_RIGHTS = ("setpriv", f"--bounding-set={','.join(WRITE_CAPABILITIES)}")
UMASK = ("sh", "-c", 'umask 077; exec "$@"', "sh")
# Mounts a disk from which no program can be started on $TMPDIR, in a mount namespace of its own.
NOEXEC = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o noexec none "$TMPDIR"; exec "$@"', "sh")
FAILING_CALLS = {
    "flock": "int flock(int file, int operation) { errno = ENOSYS; return -1; }",
    "link": "int link(const char *from, const char *to) { errno = EPERM; return -1; }",
}


@dataclass(frozen=True)
class Environment:
    """An environment and what is expected in it: the same outputs, or a message.

    `prepare` changes the clone, and returns the folder to run in if it is another one. `prefix` stands before the
    command. Without a `message`, the outputs must have the same bytes and git must see no other file; `succeeds` says
    whether the message comes with success.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    command: tuple[str, ...] = STAGE
    prepare: Callable[[Clone], Path | None] = lambda clone: None
    message: str = ""
    succeeds: bool = False

    def run(self, clone: Clone) -> tuple[Clone, subprocess.CompletedProcess[str]]:
        """Set the environment up, and run the command in it; skip the test where that is not possible."""
        skip_unless_installed(self.prefix[:1], "util-linux")
        if self.prefix[:1] in (("setpriv",), ("unshare",)) and not IS_ROOT:
            pytest.skip(f"{self.prefix[0]} needs root")
        root = self.prepare(clone)
        if root:
            moved = Clone(root)
            moved.extra_environment.update(clone.extra_environment)
            clone = moved
        return clone, clone.run(*self.prefix, *self.command, check=False, **self.variables)


def rename(name: str) -> Callable[[Clone], Path]:
    """Return a preparation that gives the checkout's folder another name, which may contain folders."""

    def prepare(clone: Clone) -> Path:
        target = clone.root.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return clone.root.rename(target)

    return prepare


def give_away(clone: Clone) -> None:
    """Give the checkout to another user, who may pass through the folders above it."""
    if IS_ROOT:
        clone.run("chown", "-R", f"{USER}:{USER}", ".")
    for folder in clone.root.parents[:-2]:  # below /tmp
        folder.chmod(folder.stat().st_mode | 0o111)


def share(clone: Clone) -> None:
    """Share the checkout with a group, as git's core.sharedRepository does."""
    if IS_ROOT:
        clone.run("chgrp", "-R", str(GROUP), ".")
    clone.run("chmod", "-R", "g+rwX", ".")
    for folder in clone.root.parents[:-2]:  # below /tmp
        folder.chmod(folder.stat().st_mode | 0o111)


def git(*arguments: str) -> Callable[[Clone], None]:
    """Return a preparation that runs git in the checkout."""

    def prepare(clone: Clone) -> None:
        clone.run("git", *arguments)

    return prepare


def write_module(name: str, text: str) -> Callable[[Clone], None]:
    """Return a preparation that writes a file next to the checkout, in the folder `other`."""

    def prepare(clone: Clone) -> None:
        path = clone.root.parent / "other" / name
        path.parent.mkdir()
        path.write_text(text)
        path.chmod(0o755)
        clone.extra_environment["PYTHONPATH"] = str(path.parent)
        clone.extra_environment["PATH"] = f"{path.parent}:{os.environ['PATH']}"

    return prepare


def protect(folder: str) -> Callable[[Clone], None]:
    """Return a preparation that makes a folder and the folders below it read-only."""

    def prepare(clone: Clone) -> None:
        top = clone.root / folder
        top.mkdir(exist_ok=True)
        for path in (top, *(path for path in top.rglob("*") if path.is_dir())):
            path.chmod(0o555)

    return prepare


def remove_git(clone: Clone) -> None:
    """Remove git's folder, as in a downloaded archive."""
    (clone.root / ".git").rename(clone.root.parent / "git")


def use_no_scm(clone: Clone) -> None:
    """Remove git's folder, and tell DVC so."""
    remove_git(clone)
    clone.dvc("config", "--local", "core.no_scm", "true")


def hide_git(clone: Clone) -> None:
    """Set a PATH on which there is every program but git."""
    folder = clone.root.parent / "programs"
    folder.mkdir()
    for path in Path("/usr/bin").iterdir():
        if path.name != "git":
            (folder / path.name).symlink_to(path)
    clone.extra_environment["PATH"] = str(folder)


def set_temporary_folder(clone: Clone) -> None:
    """Let temporary files lie in an empty folder."""
    folder = clone.root.parent / "temporary"
    folder.mkdir()
    clone.extra_environment["TMPDIR"] = str(folder)


def let_fail(call: str) -> Callable[[Clone], None]:
    """Return a preparation that lets a system call fail, as on file systems without it."""

    def prepare(clone: Clone) -> None:
        skip_unless_installed(["cc"], "gcc")
        source, library = clone.root.parent / "call.c", clone.root.parent / "call.so"
        source.write_text(f"#include <errno.h>\n{FAILING_CALLS[call]}\n")
        clone.run("cc", "-shared", "-fPIC", "-o", str(library), str(source))
        clone.extra_environment["LD_PRELOAD"] = str(library)

    return prepare


def set_times(date: str) -> Callable[[Clone], None]:
    """Return a preparation that gives all files of the checkout another date."""

    def prepare(clone: Clone) -> None:
        clone.run("find", ".", "-path", "./.git", "-prune", "-o", "-exec", "touch", "-h", "-d", date, "{}", "+")

    return prepare


def add_worktree(clone: Clone) -> Path:
    """Add a worktree of git with the data of the clone."""
    root = clone.root.parent / "worktree"
    clone.run("git", "worktree", "add", "-q", str(root))
    worktree = Clone(root)
    worktree.dvc("config", "--local", "remote.checkout.url", ".")
    clone.run("cp", "-r", ".dvc/cache", str(root / ".dvc"))
    worktree.dvc("checkout", "-q")
    return root


def clone_shallow(clone: Clone) -> Path:
    """Clone the last commit only."""
    root = clone.root.parent / "shallow"
    clone.run("git", "clone", "-q", "--depth", "1", clone.root.as_uri(), str(root))
    Clone(root).dvc("config", "--local", "remote.checkout.url", ".")
    return root


def move_into_repository(clone: Clone) -> Path:
    """Make the checkout a subfolder of a larger repository, as `dvc init --subdir` does."""
    outer = Clone(clone.root.parent / "outer")
    outer.root.mkdir()
    (clone.root / ".git").rename(clone.root.parent / "git")
    root = clone.root.rename(outer.root / "faces")
    outer.run("git", "init", "-q")
    outer.commit("a larger project")
    return root


def add_submodule(clone: Clone) -> None:
    """Add a submodule with a file that is not committed."""
    library = Clone(clone.root.parent / "library")
    library.root.mkdir()
    library.run("git", "init", "-q")
    library.commit("a library")
    clone.run("git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.root), "library")
    (clone.root / "library" / "mine").write_text("mine")
    clone.commit("a submodule")


def add_failing_hook(clone: Clone) -> None:
    """Add a hook that refuses every commit."""
    hook = clone.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
