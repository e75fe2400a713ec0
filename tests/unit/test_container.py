"""The container image: what Dockerfile copies, and the program that runs a command in the mounted checkout."""

import re
import subprocess
from pathlib import Path

import pytest
from support.clone import ROOT


def test_the_image_copies_files_of_the_repository_that_dockerignore_admits() -> None:
    dockerfile, ignore = ((ROOT / name).read_text() for name in ("Dockerfile", ".dockerignore"))
    copied = {file for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE) for file in line.split()}
    assert "requirements.lock" in copied and all((ROOT / file).is_file() for file in copied)
    assert copied == {line[1:] for line in ignore.splitlines() if line.startswith("!")}
    assert "*" in ignore.splitlines()


def run_container(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run workflow/container in `folder`, with a program that prints its arguments in place of DVC."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "dvc").write_text('#!/bin/sh\necho dvc "$@"\n')
    (programs / "dvc").chmod(0o755)
    return subprocess.run(
        [ROOT / "workflow" / "container", *command],
        cwd=folder,
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_container_runs_a_command_with_the_code_of_the_mounted_checkout(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    done = run_container(tmp_path, "sh", "-c", 'echo "$PYTHONPATH"; exit 3')
    assert done.stdout == f"dvc config --local remote.checkout.url .\n{tmp_path}/src\n" and done.returncode == 3


@pytest.mark.parametrize("command", [["dvc", "repro"], []])
def test_the_container_outside_a_checkout_says_how_to_mount_one(tmp_path: Path, command: list[str]) -> None:
    done = run_container(tmp_path, *command)
    assert done.returncode == 2 and "is not a checkout: run the container with --volume" in done.stderr
