"""A Python that is warm: it runs what a real one would, but in a fork of a process that has imported the libraries.

    python tests/warm.py FOLDER OWNER

serves on the socket FOLDER/socket until the process OWNER has ended. The script FOLDER/python stands for the
interpreter. So a command of DVC, Snakemake or a stage takes a second instead of three or more. Whoever kills the script
does not kill what it runs, and variables that Python or OpenMP reads at its start tell it nothing: tests of such things
need processes of their own (`Clone.cold`).
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import psutil

LIBRARIES = (
    "PIL.ImageDraw",
    "PIL.JpegImagePlugin",
    "animeface",
    "cleanfid.resize",
    "dicebear",
    "dulwich.porcelain",
    "dvc.cli.parser",
    "dvc.commands.repro",
    "dvc.repo.experiments",
    "dvc.repo.index",
    "dvc.repo.metrics.show",
    "dvc.repo.params.show",
    "dvc.rwlock",
    "dvc.scm",
    "dvc_data.hashfile.db.local",
    "dvclive",
    "efficientnet_lite_pytorch",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.pyplot",
    "networkx",
    "pandas",
    "pydantic",
    "ruamel.yaml",
    "safetensors.numpy",
    "safetensors.torch",
    "scipy.linalg",
    "scmrepo.git",
    "seaborn",
    "snakemake.cli",
    "snakemake.executors.local",
    "snakemake.report.html_reporter",
    "snakemake.storage",
    "snakemake.workflow",
    "torch._dynamo",
)
CLIENT = """import json, os, socket, sys
line, asked = socket.socket(socket.AF_UNIX), json.dumps([os.getcwd(), dict(os.environ), sys.argv[1:]])
os.chdir(os.path.dirname(sys.argv[1]))  # an address has no room for long paths
line.connect("socket")
socket.send_fds(line, [b"."], [0, 1, 2])
line.sendall(asked.encode())
line.shutdown(socket.SHUT_WR)
sys.exit(int(line.recv(9) or sys.exit("what was asked of the warm process has died")))
"""


def start(folder: Path, owner: int) -> None:
    """Make the script `python` in a new folder, and start what it needs; that ends when the process `owner` has."""
    (folder / "known yaml").mkdir(parents=True)
    (folder / "client.py").write_text(CLIENT)
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "$(dirname "$0")/client.py" "$0" "$@"\n')
    script.chmod(0o755)
    process = subprocess.Popen([sys.executable, __file__, str(folder), str(owner)])
    while not (folder / "socket").exists():
        assert process.poll() is None, "the warm process has ended"
        time.sleep(0.1)


def know_yaml(folder: Path) -> None:
    """Have DVC know what is in a YAML text that it has read or written before; else parsing takes half of its time."""
    module: Any = importlib.import_module("dvc.utils.serialize._yaml")
    parse, dump = module.parse_yaml, module._dump

    def known(text: str) -> Path:
        return folder / f"{sha256(text.encode()).hexdigest()}.json"

    def keep(text: str, data: Any) -> None:
        partial = known(text).with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(data))
        partial.replace(known(text))

    def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:
        # What is to be written again with its comments is another matter; dvc.lock has none.
        if typ == "rt" and Path(path).name != "dvc.lock":
            return parse(text, path, typ)
        if not known(text).exists():
            keep(text, parse(text, path))
        return json.loads(known(text).read_text())

    def dump_yaml(data: Any, stream: TextIO) -> None:
        written = StringIO()
        dump(data, written)
        stream.write(written.getvalue())
        if Path(stream.name).name == "dvc.lock":
            keep(written.getvalue(), data)

    module._dump = dump_yaml
    for user in ("dvc.utils.serialize._yaml", "dvc.utils.serialize", "dvc.utils.strictyaml"):
        vars(importlib.import_module(user))["parse_yaml"] = parse_yaml


def run(me: str, kind: str, *words: str) -> None:
    """Do what the interpreter would with `-m MODULE`, `-c CODE` or a file, in its folder and with its environment."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [str(Path(path).absolute()) for path in (".", *paths)]
    # So that what this starts is warm, too.
    sys.executable = me
    sys.argv = [kind, *(words if kind not in ("-m", "-c") else words[1:])]
    if kind == "-m":
        if words[0] == "dvc":
            know_yaml(Path(me).with_name("known yaml"))
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        exec(compile(words[0], "asked", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(kind, run_name="__main__")


def serve(folder: Path, owner: int) -> None:
    """Answer each client with the exit code of what it asks for."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # or each fork would look through all of it again and again
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    door = socket.socket(socket.AF_UNIX)
    door.settimeout(1)
    os.chdir(folder)
    door.bind("being opened")
    door.listen(64)
    Path("being opened").rename("socket")
    while psutil.pid_exists(owner):
        with suppress(TimeoutError):
            line, _ = door.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                door.close()
                answer(line)
            line.close()


def answer(line: socket.socket) -> None:
    """Do one task, in a process of its own with the client's streams, and end."""
    _, streams, _, _ = socket.recv_fds(line, 1, 3)
    asked: tuple[str, dict[str, str], list[str]] = json.loads(b"".join(iter(lambda: line.recv(65536), b"")))
    place, environment, command = asked
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    code: Any = 0
    try:
        run(*command)
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    line.sendall(str(code).encode())
    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
