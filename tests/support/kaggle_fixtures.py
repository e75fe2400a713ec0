"""Fixtures for the source kaggle: a server with a data set, and kagglehub with a cache of its own.

A module of tests loads them as a plugin of pytest: pytest_plugins = ["support.kaggle_fixtures"].
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from omokage.net import download, retry
from support.kaggle_server import KaggleServer, make_environment, serve
from support.kaggle_source import IMAGES, make_zip


@pytest.fixture(scope="module")
def archive() -> bytes:
    """Return the zip that Kaggle delivers."""
    labels = random.Random(0).randbytes(2_000_000)
    return make_zip({**IMAGES, "__MACOSX/a.PNG": b"junk", "labels.csv": labels})


@pytest.fixture
def server(archive: bytes) -> Iterator[KaggleServer]:
    with serve({("someone", "faces", 3): archive}) as kaggle:
        yield kaggle


@pytest.fixture
def hub_cache(monkeypatch: pytest.MonkeyPatch, server: KaggleServer, tmp_path: Path) -> Path:
    """Direct kagglehub to the server, with short timeouts; return the folder of the data set in its cache."""
    for name in [name for name in os.environ if "KAGGLE" in name or "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    for name, value in make_environment(server.port, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retry, "PAUSES", (0.02, 0.05, 0.1))
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 8)
    monkeypatch.setattr(download, "TIMEOUT", (1.0, 0.3))
    return tmp_path / "kagglehub" / "datasets" / "someone" / "faces"
