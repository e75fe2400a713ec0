"""A Python that is warm: what it runs, it runs for real, but in a fork of a process that has imported the libraries.

    python tests/warm.py FOLDER OWNER

serves on the socket FOLDER/socket until the process OWNER has ended. The script FOLDER/python stands for the
interpreter, with `-m MODULE ...` or `-c CODE ...`. So a test of DVC's decisions, of Snakemake or of a stage takes a
second where it takes several. (Whoever kills the script does not kill what it runs: tests of that need processes of
their own.)
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
from pathlib import Path
from typing import Any, TextIO

import psutil
import yaml

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
CLIENT = """#!{python} -IS
import json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(os.path.join(os.path.dirname(sys.argv[0]), "socket"))
socket.send_fds(line, [b"."], [0, 1, 2])
line.sendall(json.dumps([os.getcwd(), dict(os.environ), sys.argv]).encode())
line.shutdown(socket.SHUT_WR)
sys.exit(int(line.recv(9) or 1))
"""


def start(folder: Path, owner: int) -> None:
    """Make the script `python` in a new folder, and start what it needs; that ends when the process `owner` has."""
    (folder / "known yaml").mkdir(parents=True)
    script = folder / "python"
    script.write_text(CLIENT.format(python=sys.executable))
    script.chmod(0o755)
    process = subprocess.Popen([sys.executable, __file__, str(folder), str(owner)])
    while not (folder / "socket").exists():
        assert process.poll() is None, "the warm process has ended"
        time.sleep(0.1)


def know_yaml(folder: Path) -> None:
    """Have DVC know what is in a YAML text that it has read or written before: parsing takes half of its time else."""
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
        if Path(stream.name).name != "dvc.lock":
            return dump(data, stream)
        plain = json.loads(json.dumps(data))
        text: str = yaml.dump(plain, Dumper=yaml.CSafeDumper, sort_keys=False)
        keep(text, plain)
        stream.write(text)

    module._dump = dump_yaml
    for user in ("dvc.utils.serialize._yaml", "dvc.utils.serialize", "dvc.utils.strictyaml"):
        vars(importlib.import_module(user))["parse_yaml"] = parse_yaml


def run(me: str, kind: str, what: str, *words: str) -> None:
    """Do what the interpreter would with `-m MODULE` or `-c CODE`, in its folder and with its environment."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [str(Path(path).absolute()) for path in (".", *paths)]
    # So that what this starts is warm, too.
    sys.executable = me
    if what == "dvc":
        know_yaml(Path(me).with_name("known yaml"))
    sys.argv = [kind, *words]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "asked", "exec"), {"__name__": "__main__"})


def serve(folder: Path, owner: int) -> None:
    """Answer each client with the exit code of what it asks for."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # or each fork would look through all of it again and again
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    door = socket.socket(socket.AF_UNIX)
    door.settimeout(1)
    door.bind(str(folder / "being opened"))
    door.listen(64)
    (folder / "being opened").rename(folder / "socket")
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
