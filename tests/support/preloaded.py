"""A preloaded Python: it runs commands in forks of one process that has already imported the libraries.

python -P tests/support/preloaded.py FOLDER OWNER

serves requests on the socket FOLDER/socket until the process OWNER has ended. The script FOLDER/python stands in for
the interpreter: it sends its command to the server, which runs it in a fork. So DVC, Snakemake
or a stage starts in less than a second instead of three or more. There are two differences from a real interpreter:
killing the script does not kill the command, and variables that Python or OpenMP read at their start have no effect.
Tests that need a real interpreter call `Clone.without_preloading`.
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
# The client: it sends its folder, environment, arguments and standard streams, and exits with the code it receives.
CLIENT = """import json, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
request = json.dumps([os.getcwd(), dict(os.environ), sys.argv[1:]])
os.chdir(os.path.dirname(sys.argv[1]))  # a socket's address must be short
connection.connect("socket")
socket.send_fds(connection, [b"."], [0, 1, 2])
connection.sendall(request.encode())
connection.shutdown(socket.SHUT_WR)
sys.exit(int(connection.recv(9) or sys.exit("the command has ended without an exit code")))
"""


def start(folder: Path, owner: int) -> None:
    """Create `folder` with the script `python`, and start the server, which ends after the process `owner` ends."""
    (folder / "yaml").mkdir(parents=True)
    (folder / "client.py").write_text(CLIENT)
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "$(dirname "$0")/client.py" "$0" "$@"\n')
    script.chmod(0o755)
    # With -P this file's folder is not on sys.path, and its modules hide no others.
    process = subprocess.Popen([sys.executable, "-P", __file__, str(folder), str(owner)])
    while not (folder / "socket").exists():
        assert process.poll() is None, "the server of the preloaded Python has ended"
        time.sleep(0.1)


def cache_yaml(folder: Path) -> None:
    """Make DVC parse each YAML text only once, by a cache in `folder`, since parsing takes half of DVC's time."""
    module: Any = importlib.import_module("dvc.utils.serialize._yaml")
    parse, dump = module.parse_yaml, module._dump

    def cache_path(text: str) -> Path:
        return folder / f"{sha256(text.encode()).hexdigest()}.json"

    def save(text: str, data: Any) -> None:
        partial = cache_path(text).with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(data))
        partial.replace(cache_path(text))

    def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:
        # A round trip ("rt") preserves comments and the cache does not, but dvc.lock has no comments.
        if typ == "rt" and Path(path).name != "dvc.lock":
            return parse(text, path, typ)
        if not cache_path(text).exists():
            save(text, parse(text, path))
        return json.loads(cache_path(text).read_text())

    def dump_yaml(data: Any, stream: TextIO) -> None:
        written = StringIO()
        dump(data, written)
        stream.write(written.getvalue())
        if Path(stream.name).name == "dvc.lock":
            save(written.getvalue(), data)

    module._dump = dump_yaml
    for user in ("dvc.utils.serialize._yaml", "dvc.utils.serialize", "dvc.utils.strictyaml"):
        vars(importlib.import_module(user))["parse_yaml"] = parse_yaml


def run(script: str, option: str, *arguments: str) -> None:
    """Run `-m MODULE`, `-c CODE` or a file as the interpreter would, in the current folder and environment."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [str(Path(path).absolute()) for path in (".", *paths)]
    # Programs that the command starts with sys.executable are preloaded, too.
    sys.executable = script
    sys.argv = [option, *(arguments if option not in ("-m", "-c") else arguments[1:])]
    if option == "-m":
        if arguments[0] == "dvc":
            cache_yaml(Path(script).with_name("yaml"))
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif option == "-c":
        exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(option, run_name="__main__")


def serve(folder: Path, owner: int) -> None:
    """Run the command of each client in a fork, until the process `owner` has ended."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # otherwise the garbage collector of each fork would visit the libraries' objects
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = socket.socket(socket.AF_UNIX)
    server.settimeout(1)
    os.chdir(folder)
    server.bind("socket.partial")
    server.listen(64)
    Path("socket.partial").rename("socket")
    while psutil.pid_exists(owner):
        with suppress(TimeoutError):
            connection, _ = server.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                server.close()
                handle(connection)
            connection.close()


def handle(connection: socket.socket) -> None:
    """Run one command in this process with the client's streams, send its exit code, and exit."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    request: tuple[str, dict[str, str], list[str]] = json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))
    folder, environment, command = request
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    code: Any = 0
    try:
        run(*command)
    except SystemExit as exit:
        code = exit.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code).encode())
    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
