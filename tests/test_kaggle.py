"""The kaggle source, with the real kagglehub client and a server on a loopback port."""

import io
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kaggle_server import Kaggle, environment, serve
from PIL import Image

ROOT = Path(__file__).parents[1]
# In a process of its own: kagglehub reads its environment when it is imported.
COLLECT = """
import sys
from omokage.data.sources import kaggle
from omokage.errors import Refused
try:
    collection = kaggle.collect("someone/faces", int(sys.argv[1]))
    pictures = [f"{name}:{len(content)}" for name, content in collection.pictures]
    print(collection.name, collection.version, *pictures, sep="|")
except Refused as refused:
    sys.exit(f"REFUSED {refused}")
"""


def collect(port: int, home: Path, version: int = 3) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if "KAGGLE" not in name and "proxy" not in name.lower()
    }
    env = inherited | environment(port, home) | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", COLLECT, str(version)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def refusal(answer: subprocess.CompletedProcess[str]) -> str:
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "secret" not in answer.stderr
    lines = [line for line in answer.stderr.splitlines() if line.startswith("REFUSED")]
    assert len(lines) == 1
    return lines[0]


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("archive/deep/b.png", picture(2))
        packed.writestr("a.PNG", picture(1))
        packed.writestr("__MACOSX/a.PNG", b"junk")
        packed.writestr("labels.csv", "name,label\n" * 200_000)
    return file.getvalue()


@pytest.fixture
def server(archive: bytes) -> Iterator[Kaggle]:
    with serve({("someone", "faces", 3): archive}) as kaggle:
        yield kaggle


def test_downloads_once(server: Kaggle, tmp_path: Path) -> None:
    first = collect(server.port, tmp_path)
    assert first.stdout == f"Kaggle someone/faces|3|a.PNG:{len(picture(1))}|archive/deep/b.png:{len(picture(2))}\n"
    assert server.asked == [{"ownerSlug": "someone", "datasetSlug": "faces", "datasetVersionNumber": 3}]
    assert str(tmp_path) not in first.stderr
    second = collect(server.port, tmp_path)
    assert second.stdout == first.stdout
    assert len(server.asked) == len(server.ranges) == 1


def test_resumes_a_broken_download(server: Kaggle, tmp_path: Path, archive: bytes) -> None:
    server.break_after = 3 * 2**19  # the client writes whole chunks of 2**20 bytes
    assert len(archive) > server.break_after
    assert "could not be brought from Kaggle" in refusal(collect(server.port, tmp_path))
    assert collect(server.port, tmp_path).stdout.startswith("Kaggle someone/faces|3|a.PNG")
    assert server.ranges == [None, None, f"bytes={2**20}-"]


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "asks for a login"), (403, "accept the data set's terms"), (503, "503")]
)
def test_is_denied(server: Kaggle, tmp_path: Path, status: int, advice: str) -> None:
    server.status = status
    assert advice in refusal(collect(server.port, tmp_path))


def test_knows_no_such_version(server: Kaggle, tmp_path: Path) -> None:
    message = refusal(collect(server.port, tmp_path, version=4))
    assert "someone/faces version 4" in message
    assert "check kaggle_dataset" in message


def test_nothing_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "check the network" in refusal(collect(free.getsockname()[1], tmp_path))
