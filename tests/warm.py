"""`dvc repro` and the stages, run for real, but in forks of a process that has imported the large libraries already.

    python tests/warm.py CHECKOUT

serves on a socket of the checkout; `launcher` is a workflow/stage that asks it. So a test of DVC's decisions takes a
second a stage. All that is left out is Snakemake, which other tests run for every stage.
"""

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIBRARIES = (
    "animeface",
    "cleanfid.fid",
    "cleanfid.inception_torchscript",
    "dicebear",
    "dvc.cli",
    "dvc.commands.repro",
    "dvc.repo",
    "dvclive",
    "efficientnet_lite_pytorch",
    "jinja2",
    "matplotlib.pyplot",
    "pandas",
    "pydantic",
    "ruamel.yaml",
    "safetensors.torch",
    "scipy.linalg",
    "seaborn",
    "torch._dynamo",
    "torchvision",
)
ASK = """import socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect("warm.socket")
line.sendall(" ".join(sys.argv[1:]).encode())
answer = b"".join(iter(lambda: line.recv(65536), b"")).decode()
print(answer[1:], end="")
sys.exit(int(answer[0]))
"""


def launcher() -> str:
    """Return the text of a workflow/stage that has its stage run by the warm process."""
    return f'cd "$(dirname "$0")/.." && exec "$OMOKAGE_PYTHON" -I -c \'{ASK}\' stage "$1"\n'


@contextmanager
def warm(checkout: Path) -> Iterator[None]:
    """Keep a warm process for the checkout."""
    environment = {
        **os.environ,
        "OMOKAGE_PYTHON": sys.executable,
        "PYTHONPATH": str(checkout / "src"),
    }
    with subprocess.Popen([sys.executable, __file__, str(checkout)], env=environment) as process:
        try:
            while not (checkout / "warm.socket").exists():
                assert process.poll() is None, "the warm process has ended"
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def run(task: str) -> int:
    """Run `stage NAME`, or a command of DVC."""
    if task.startswith("stage "):
        runner: Any = importlib.import_module("omokage.runner")
        # In a checkout whose dvc.yaml lists no code, every stage would be refused.
        runner._check_seal = lambda stage, before: None
        sys.argv = ["runner", task.split()[1], "--threads", "1"]
        return int(runner.main())
    return int(importlib.import_module("dvc.cli").main(task.split()) or 0)


def serve(checkout: Path) -> None:
    """Answer each task with the digit of its exit code and what it said."""
    for library in LIBRARIES:
        importlib.import_module(library)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.chdir(checkout)
    door = socket.socket(socket.AF_UNIX)
    door.bind("warm.opening")
    door.listen()
    Path("warm.opening").rename("warm.socket")
    while True:
        line, _ = door.accept()
        if os.fork():
            line.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        task, said = line.recv(1000).decode(), Path(f".dvc/tmp/warm-{os.getpid()}")
        said.parent.mkdir(exist_ok=True)
        with said.open("w") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        code = run(task)
        sys.stdout.flush()
        sys.stderr.flush()
        line.sendall(f"{min(9, code)}{said.read_text()}".encode())
        line.close()
        os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
