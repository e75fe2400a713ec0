"""Read the shell blocks of a page of the documentation, and run them in order as a reader would type them."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

import pytest

from support.clone import ROOT, Clone

BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", flags=re.MULTILINE | re.DOTALL)
# The commands of .venv, and the interpreter's options that run each.
COMMANDS = {"python": "", "dvc": "-m dvc", "omokage": "-m omokage.cli.main"}


@dataclass(frozen=True)
class Block:
    """One ```sh block of a page; `line` is the number of its first command's line."""

    page: str
    line: int
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines of the block, without comments."""
        return [re.sub(r" +#.*", "", line) for line in self.text.splitlines()]


def read_blocks(page: str) -> list[Block]:
    """Return the shell blocks of a page, given by its path relative to the checkout."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start(2)) + 1, re.sub(rf"^{found[1]}", "", found[2], flags=re.MULTILINE))
        for found in BLOCK.finditer(text)
    ]


def find_file_names(page: str) -> Iterator[str]:
    """Yield the names of results and data that a page mentions in backticks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    yield from re.findall(r"`((?:data|results)/[\w./-]+\.\w+|[\w-]+\.(?:html|png))`", text)


class Reader:
    """Somebody who types the blocks of a page into a shell, one after the other.

    The shell starts in the folder that will hold the reader's clone. This folder is also the home. `substitutions`
    replace placeholders and values that would take minutes.
    """

    def __init__(self, clone: Clone, substitutions: Mapping[str, str]) -> None:
        self.clone = clone
        self.home = clone.root.parent
        self.substitutions = substitutions
        # Restores the folder and the variables of the shell after the last block.
        self.state = self.home / "state.sh"
        self.state.write_text("")

    def run(self, block: Block) -> str:
        """Run a block; fail the test with the block's page, line and output if one of its commands fails."""
        text = block.text
        for old, new in self.substitutions.items():
            text = text.replace(old, new)
        script = f'. "{self.state}"\nset -e\n{text}\n{{ export -p; echo "cd \'$PWD\'"; }} > "{self.state}"\n'
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=self.home,
            env={**self.clone.build_environment(), "PATH": os.environ["PATH"], "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            place = f"{block.page}:{block.line}"
            pytest.fail(f"{place} exited with {done.returncode}:\n{block.text}{done.stdout[-4000:]}")
        return done.stdout


def add_environment(clone: Clone) -> None:
    """Create .venv in a clone, as `make install` does, with commands that run this test's own environment."""
    folder = clone.root / ".venv"
    (folder / "bin").mkdir(parents=True)
    for name, options in COMMANDS.items():
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nPYTHONPATH="{clone.root}/src" exec "{clone.python}" {options} "$@"\n')
        script.chmod(0o755)
    (folder / "bin" / "activate").write_text(f'PATH="{folder}/bin{os.pathsep}$PATH"\n')
    # What workflow/install.py compares: the packages and the folder that the environment was built for.
    digest = sha256((clone.root / "requirements.lock").read_bytes()).hexdigest()
    (folder / "ready").write_text(f"{digest} {folder.resolve()}\n")
