"""`dvc`, the stages and other code, run for real, but in forks of a process that has imported the large libraries.

    python tests/warm.py SOCKET

serves on a socket. So a test of DVC's decisions takes a second a stage. All that is left out is Snakemake, which other
tests run for every stage.
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

LIBRARIES = (
    "animeface",
    "cleanfid.resize",
    "dicebear",
    "dvc.cli",
    "dvc.commands.repro",
    "dvc.repo",
    "dvclive",
    "efficientnet_lite_pytorch",
    "jinja2",
    "matplotlib.pyplot",
    "networkx",
    "pandas",
    "pydantic",
    "ruamel.yaml",
    "safetensors.torch",
    "scipy.linalg",
    "seaborn",
    "torch._dynamo",
)
ASK = """import json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(json.dumps([os.getcwd(), dict(os.environ), sys.argv[2:]]).encode())
line.shutdown(socket.SHUT_WR)
answer = b"".join(iter(lambda: line.recv(65536), b"")).decode()
print(answer[1:], end="")
sys.exit(int(answer[0]))
"""


@dataclass(frozen=True)
class Warm:
    """A warm process that serves on a socket."""

    socket: Path

    def launcher(self) -> str:
        """Return the text of a workflow/stage that has its stage run by the warm process."""
        ask = f"exec '{sys.executable}' -I -c '{ASK}' '{self.socket}'"
        return f'cd "$(dirname "$0")/.." && {ask} stage "$1"\n'

    def __call__(self, place: Path, environment: Mapping[str, str], *task: str) -> subprocess.CompletedProcess[str]:
        """Run `dvc ...`, `stage NAME` or `code TEXT ...` in a folder, as subprocess.run does."""
        ask = [sys.executable, "-I", "-c", ASK, str(self.socket), *task]
        return subprocess.run(ask, cwd=place, env=environment, capture_output=True, text=True, check=False)


@contextmanager
def warm(place: Path) -> Iterator[Warm]:
    """Keep a warm process, which serves on a socket that appears at `place`."""
    with subprocess.Popen([sys.executable, __file__, str(place)]) as process:
        try:
            while not place.exists():
                assert process.poll() is None, "the warm process has ended"
                time.sleep(0.1)
            yield Warm(place)
        finally:
            process.terminate()


def parse_once() -> None:
    """Have DVC parse each YAML text once: it reads few files dozens of times, which takes most of its time."""
    yaml: Any = importlib.import_module("dvc.utils.serialize._yaml")
    parse, dump = yaml.parse_yaml, yaml._dump
    known: dict[tuple[str, str], Any] = {}

    def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:
        if (text, typ) not in known:
            known[text, typ] = parse(text, path, typ)
        return deepcopy(known[text, typ])

    def dump_yaml(data: Any, stream: TextIO) -> None:
        written = StringIO()
        dump(data, written)
        known[written.getvalue(), "rt"] = deepcopy(data)
        stream.write(written.getvalue())

    yaml.parse_yaml, yaml._dump = parse_yaml, dump_yaml


def run(kind: str, *words: str) -> int:
    """Do a task in the folder that it was asked from."""
    if kind == "dvc":
        parse_once()
        return int(importlib.import_module("dvc.cli").main(list(words)) or 0)
    sys.path.insert(0, str(Path("src").resolve()))
    if kind == "stage":
        sys.argv = ["runner", *words, "--threads", "1"]
        return int(importlib.import_module("omokage.runner").main())
    sys.argv = ["-c", *words[1:]]
    exec(compile(words[0], "asked", "exec"), {"__name__": "__main__"})
    return 0


def serve(place: Path) -> None:
    """Answer each task with the digit of its exit code and what it said."""
    for library in LIBRARIES:
        importlib.import_module(library)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    door, opening = socket.socket(socket.AF_UNIX), place.with_suffix(".opening")
    door.bind(str(opening))
    door.listen()
    opening.rename(place)
    while True:
        line, _ = door.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            door.close()
            answer(line)
        line.close()


def answer(line: socket.socket) -> None:
    """Do one task, in a process of its own, and end."""
    asked: tuple[str, dict[str, str], list[str]] = json.loads(b"".join(iter(lambda: line.recv(65536), b"")))
    place, environment, task = asked
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    with TemporaryFile("w+") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
        try:
            code: Any = run(*task)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        said.seek(0)
        line.sendall(f"{min(9, code or 0)}{said.read()}".encode())
    line.close()
    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
