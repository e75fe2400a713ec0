"""The source kaggle when the network or the server fails: it retries, resumes, or stops with one line."""

import socket
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from support.kaggle_server import SIGNATURE, Fault, KaggleServer
from support.kaggle_source import ALWAYS, IMAGES, TOKEN, collect_images

from omokage.base.errors import UserError
from omokage.net import download, retry

pytest_plugins = ["support.kaggle_fixtures"]


class Case(NamedTuple):
    """The faults of the server, in order, and what one run does."""

    name: str
    faults: list[Fault]
    requests: tuple[int, int, int]  # for DownloadDataset, the archive and GetDataset
    outcome: str  # COMPLETE, or a part of the error message
    kept_percent: int = 0  # of the archive, from which the next run resumes


COMPLETE = "complete"
INTACT, CUT, WRONG = Fault("archive"), Fault("archive", cut=0.4), Fault("archive", wrong_md5=True)
CUT_LATER_EACH_TIME = [Fault("archive", cut=number // 2 / 20) for number in range(2, 40)]
# To resume, each attempt requests the archive twice, as kagglehub does: for its size and MD5, and for the rest of it.
CASES = [
    Case("nothing", [], (1, 1, 1), COMPLETE),
    Case("cut at 40 % and at 80 %", [CUT, INTACT, Fault("archive", cut=0.8)], (3, 5, 1), COMPLETE),
    Case("cut at 40 % always", [Fault("archive", cut=0.4, times=ALWAYS)], (4, 7, 0), "check the network", 40),
    Case("cut 5 % later each time", CUT_LATER_EACH_TIME, (8, 15, 0), "(after 8 attempts)", 40),
    Case("silence at 40 %", [Fault("archive", cut=0.4, stall=True)], (2, 3, 1), COMPLETE),
    Case(
        "silence of the API",
        [Fault("download", stall=True, times=ALWAYS)],
        (4, 0, 0),
        "(ReadTimeout) (after 4 attempts)",
    ),
    Case("401", [Fault("download", 401)], (1, 0, 0), "the token is missing, wrong or expired: create a token"),
    Case(
        "403", [Fault("download", 403)], (1, 0, 1), "its terms are probably not accepted yet: accept them on its page"
    ),
    Case(
        "403 twice", [Fault("download", 403), Fault("about", 403)], (1, 0, 1), "shows no data set someone/faces: check"
    ),
    Case("403 of the storage", [Fault("archive", 403)], (1, 1, 1), "its terms are probably not accepted yet"),
    Case("403, then 500s", [Fault("download", 403), Fault("about", 500, ALWAYS)], (1, 0, 4), "failed as well (Kaggle"),
    Case("no JSON", [Fault("about", text="words")], (1, 1, 2), COMPLETE),
    Case("no object", [Fault("about", text="3", times=ALWAYS)], (1, 1, 4), COMPLETE),
    Case("404", [Fault("download", 404)], (1, 0, 1), "its current version is 3: set kaggle_version: 3"),
    Case(
        "404 twice",
        [Fault("download", 404), Fault("about", 404)],
        (1, 0, 1),
        "shows no data set someone/faces: check kaggle_dataset for a typing mistake",
    ),
    Case("404, then 500s", [Fault("download", 404), Fault("about", 500, ALWAYS)], (1, 0, 4), "status 500)"),
    Case("429 once, wait 1 s", [Fault("download", 429, retry_after="1")], (2, 1, 1), COMPLETE),
    Case("429 always", [Fault("download", 429, ALWAYS, retry_after="0")], (4, 0, 0), "too many requests"),
    Case("500 three times", [Fault("download", 500, 3)], (4, 1, 1), COMPLETE),
    Case("500 always", [Fault("download", 500, ALWAYS)], (4, 0, 0), "status 500 (after 4 attempts): run again later"),
    Case("503 of the storage", [Fault("archive", 503, 2)], (3, 3, 1), COMPLETE),
    Case("503 when resuming", [CUT, INTACT, Fault("archive", 503)], (3, 5, 1), COMPLETE),
    Case("no ranges after all", [CUT, Fault("archive", no_ranges=True, times=2)], (2, 3, 1), COMPLETE),
    Case("wrong MD5 once", [WRONG], (2, 2, 1), COMPLETE),
    Case("wrong MD5 always", [WRONG] * ALWAYS, (4, 4, 0), "its MD5 is not the one that Kaggle states"),
    Case("500s for the licence", [Fault("about", 500, ALWAYS)], (1, 1, 4), COMPLETE),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_run_survives_a_fault_or_fails_with_one_line_and_the_next_run_resumes(
    case: Case,
    server: KaggleServer,
    hub_cache: Path,
    archive: bytes,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN[:100])
    server.faults = list(case.faults)
    errors = ""
    if case.outcome == COMPLETE:
        assert collect_images() == IMAGES
    else:
        with pytest.raises(UserError) as caught:
            collect_images()
        message = str(caught.value)
        assert case.outcome in message
        assert message.startswith("someone/faces version 3") and "\n" not in message
        assert not any(word in message for word in ("127.0.0.1", str(hub_cache)))
        errors = "".join(traceback.format_exception(caught.value))
    printed = capfd.readouterr()
    files = [
        path for path in hub_cache.parents[3].rglob("*") if path.is_file() and path.suffix not in (".zip", ".archive")
    ]
    written = "".join([errors, printed.out, printed.err, caplog.text, *(path.read_text("latin-1") for path in files)])
    assert not any(secret in written for secret in (TOKEN[:20], SIGNATURE, "x-goog"))
    assert server.count_requests() == case.requests
    retries = max(case.requests[0] - 1, 0) + max(case.requests[2] - 1, 0)
    assert printed.err.count("retrying in") == retries
    assert str(hub_cache) not in printed.err
    assert (hub_cache / "3.zip").exists() == (case.outcome == COMPLETE)
    if case.outcome != COMPLETE:
        kept = (hub_cache / "3.archive").stat().st_size if (hub_cache / "3.archive").exists() else 0
        assert 0 <= case.kept_percent / 100 * len(archive) - kept < download.CHUNK
        server.faults, server.ranges = [], []
        assert collect_images() == IMAGES
        assert server.ranges[1:] == ([f"bytes={kept}-"] if kept else [])
    assert (hub_cache / "3.zip").read_bytes() == archive
    before = len(server.requests)
    assert collect_images() == IMAGES
    assert len(server.requests) == before


def test_pauses_follow_retry_after_up_to_a_maximum(
    server: KaggleServer, hub_cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    headers = ["7", "1e9", "Wed, 25 Nov 2026 00:00:00 GMT", "soon", "-3", "nan"]
    server.faults = [Fault("archive", 503, retry_after=value) for value in headers[:3]]
    assert collect_images() == IMAGES
    assert waits == [7, retry.MAX_PAUSE, 0.1]
    assert [download.parse_retry_after(value) for value in headers[3:5]] == [0, -3]
    assert "HTTP status 503; retrying in 7 s\n" in capfd.readouterr().err


def test_without_a_server_the_error_message_names_the_network(
    server: KaggleServer, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(UserError, match=r"failed \(\w+\) \(after 4 attempts\): check the network and run again"):
            collect_images()


def test_concurrent_runs_download_once(server: KaggleServer, hub_cache: Path) -> None:
    server.faults = [Fault("archive", cut=0.4, stall=True)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: collect_images(), range(2))) == [IMAGES] * 2
    assert server.count_requests() == (2, 3, 1)
