"""The source kaggle, with the real kagglehub client and a server on a loopback port."""

import hashlib
import io
import json
import os
import random
import resource
import socket
import subprocess
import sys
import tarfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image
from pydantic import ValidationError
from support.clone import PYTHON_PATH
from support.images import DOWNLOAD_PARAMS, encode_image
from support.kaggle_server import SIGNATURE, Fault, KaggleServer, make_environment, serve

from omokage.base.errors import UserError
from omokage.config.validation import validate
from omokage.data.sources import kaggle
from omokage.data.sources.container import DAMAGED
from omokage.net import download, retry
from omokage.params.download import Params

TOKEN = "KGAT_" + "secret" * 50  # longer than a file name can be


def make_image(shade: int) -> bytes:
    """Return a PNG of one colour."""
    return encode_image(Image.new("RGB", (40, 40), (shade, 0, 0)))


DEEP = "/".join(["深い folder"] * 9) + "/" + "é" * 125 + "x.jpg"  # the file name has 255 bytes, the maximum
IMAGES = {"a.PNG": make_image(1), "archive/deep/b.png": make_image(2), DEEP: make_image(3)}


def make_zip(files: dict[str, bytes]) -> bytes:
    """Return a zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


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
def cache(monkeypatch: pytest.MonkeyPatch, server: KaggleServer, tmp_path: Path) -> Path:
    """Direct kagglehub to the server, with short timeouts; return the folder of the data set in its cache."""
    for name in [name for name in os.environ if "KAGGLE" in name or "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    for name, value in make_environment(server.port, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retry, "PAUSES", (0.02, 0.05, 0.1))
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 8)
    monkeypatch.setattr(download, "TIMEOUT", (1.0, 0.3))
    return tmp_path / "kagglehub" / "datasets" / "someone" / "faces"


def collect_images(version: int = 3) -> dict[str, bytes]:
    """Return the images that the source collects, by name."""
    files = kaggle.collect("someone/faces", version).files
    return {name: content for name, content in files if isinstance(content, bytes)}


class Case(NamedTuple):
    """The faults of the server, in order, and what one run does."""

    name: str
    faults: list[Fault]
    requests: tuple[int, int, int]  # for DownloadDataset, the archive and GetDataset
    outcome: str  # COMPLETE, or a part of the error message
    kept_percent: int = 0  # of the archive, from which the next run resumes


ALWAYS, COMPLETE = 99, "complete"
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
    cache: Path,
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
        assert not any(word in message for word in ("127.0.0.1", str(cache)))
        errors = "".join(traceback.format_exception(caught.value))
    printed = capfd.readouterr()
    files = [path for path in cache.parents[3].rglob("*") if path.is_file() and path.suffix not in (".zip", ".archive")]
    written = "".join([errors, printed.out, printed.err, caplog.text, *(path.read_text("latin-1") for path in files)])
    assert not any(secret in written for secret in (TOKEN[:20], SIGNATURE, "x-goog"))
    assert server.count_requests() == case.requests
    retries = max(case.requests[0] - 1, 0) + max(case.requests[2] - 1, 0)
    assert printed.err.count("retrying in") == retries
    assert str(cache) not in printed.err
    assert (cache / "3.zip").exists() == (case.outcome == COMPLETE)
    if case.outcome != COMPLETE:
        kept = (cache / "3.archive").stat().st_size if (cache / "3.archive").exists() else 0
        assert 0 <= case.kept_percent / 100 * len(archive) - kept < download.CHUNK
        server.faults, server.ranges = [], []
        assert collect_images() == IMAGES
        assert server.ranges[1:] == ([f"bytes={kept}-"] if kept else [])
    assert (cache / "3.zip").read_bytes() == archive
    before = len(server.requests)
    assert collect_images() == IMAGES
    assert len(server.requests) == before


def test_pauses_follow_retry_after_up_to_a_maximum(
    server: KaggleServer, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    headers = ["7", "1e9", "Wed, 25 Nov 2026 00:00:00 GMT", "soon", "-3", "nan"]
    server.faults = [Fault("archive", 503, retry_after=value) for value in headers[:3]]
    assert collect_images() == IMAGES
    assert waits == [7, retry.MAX_PAUSE, 0.1]
    assert [download.parse_retry_after(value) for value in headers[3:5]] == [0, -3]
    assert "HTTP status 503; retrying in 7 s\n" in capfd.readouterr().err


def test_a_missing_version_gives_the_current_one(server: KaggleServer, cache: Path) -> None:
    with pytest.raises(UserError, match=r"someone/faces version 4: .* its current version is 3: set kaggle_version: 3"):
        collect_images(version=4)
    with pytest.raises(UserError, match=r"status 404: Kaggle shows no data set someone/else: check kaggle_dataset for"):
        kaggle.collect("someone/else", 1)


@pytest.mark.parametrize("version", [None, 0, "latest"])
def test_a_version_that_is_not_pinned_is_refused_with_the_current_one(
    server: KaggleServer, cache: Path, version: object
) -> None:
    params = Params(**DOWNLOAD_PARAMS | {"kaggle_version": version})
    with pytest.raises(UserError, match=r"must be a fixed version.*its current version is 3: set kaggle_version: 3"):
        kaggle.collect(params.kaggle_dataset, params.kaggle_version)
    server.faults = [Fault("about", 404)]
    with pytest.raises(
        UserError, match=r"current version failed \(.* 404\): set kaggle_version to the number that the"
    ):
        kaggle.collect(params.kaggle_dataset, params.kaggle_version)
    assert server.count_requests() == (0, 0, 2)


def test_without_a_server_the_error_message_names_the_network(
    server: KaggleServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(UserError, match=r"failed \(\w+\) \(after 4 attempts\): check the network and run again"):
            collect_images()


def test_a_tar_is_read_as_well(server: KaggleServer, cache: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in IMAGES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    server.datasets["someone", "faces", 3] = buffer.getvalue()
    for _ in range(2):
        assert collect_images() == IMAGES
    assert server.count_requests() == (1, 1, 1)


@pytest.mark.parametrize("sends_md5", [True, False])
def test_a_damaged_image_is_left_out_and_the_archive_is_not_downloaded_again(
    server: KaggleServer, cache: Path, archive: bytes, sends_md5: bool
) -> None:
    server.datasets["someone", "faces", 3] = archive.replace(IMAGES["a.PNG"], IMAGES["a.PNG"][:-9] + bytes(9))
    server.sends_md5 = sends_md5
    for _ in range(2):
        files = dict(kaggle.collect("someone/faces", 3).files)
        assert files.pop("a.PNG") == DAMAGED
        assert {name: content for name, content in files.items() if isinstance(content, bytes)} == {
            name: content for name, content in IMAGES.items() if name != "a.PNG"
        }
    assert server.count_requests() == (1, 1, 1)


@pytest.mark.parametrize(
    ("spoil", "requests", "message"),
    [
        (
            lambda archive: archive[: len(archive) // 2],
            (4, 4, 0),
            r"damaged \(it is not a valid zip or tar\) and was deleted \(after 4",
        ),
        (lambda archive: b"<html>log in</html>", (4, 4, 0), r"damaged \(it is not a valid zip or tar\)"),
        (
            lambda archive: make_zip({"a.png": make_image(1)}).replace(make_image(1), make_image(1)[:-9] + bytes(9)),
            (1, 1, 1),
            r"holds no image \(1 × damaged: .*deleted from",
        ),
        (lambda archive: make_zip({"readme.txt": b"text"}), (1, 1, 1), r"holds no image \(1 × not an image: text\)"),
        (
            lambda archive: make_zip({"a.zip": archive, "b.zip": archive, "c.heic": b"\0\0\0\x18ftypheic" + bytes(12)}),
            (1, 1, 1),
            r"holds no image \(2 × archive: zip .*; 1 × unsupported format: HEIC, .*\): set another .*, unpack or",
        ),
    ],
    ids=["truncated", "not an archive", "only damaged images", "no images", "nested zips"],
)
@pytest.mark.parametrize("sends_md5", [True, False])
def test_an_unusable_archive_is_an_error_and_a_damaged_one_is_replaced_by_the_next_run(
    server: KaggleServer,
    cache: Path,
    archive: bytes,
    sends_md5: bool,
    spoil: Callable[[bytes], bytes],
    requests: tuple[int, int, int],
    message: str,
) -> None:
    server.datasets["someone", "faces", 3] = spoil(archive)
    server.sends_md5 = sends_md5
    with pytest.raises(UserError, match=message):
        collect_images()
    assert server.count_requests() == requests
    if "deleted" in message:
        server.datasets["someone", "faces", 3] = archive
        assert collect_images() == IMAGES


def test_a_partial_archive_of_full_size_is_checked(server: KaggleServer, cache: Path, archive: bytes) -> None:
    cache.mkdir(parents=True)
    (cache / "3.archive").write_bytes(bytes(len(archive)))
    assert collect_images() == IMAGES
    (cache / "3.zip").rename(cache / "3.archive")
    assert collect_images() == IMAGES
    assert server.count_requests() == (3, 3, 2)


def test_concurrent_runs_download_once(server: KaggleServer, cache: Path) -> None:
    server.faults = [Fault("archive", cut=0.4, stall=True)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: collect_images(), range(2))) == [IMAGES] * 2
    assert server.count_requests() == (2, 3, 1)


def test_a_data_set_unpacked_by_kagglehub_is_used_without_a_request(server: KaggleServer, cache: Path) -> None:
    folder = cache / "versions" / "3" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(make_image(1))
    (cache / "3.complete").touch()
    assert collect_images() == {"deep/a.png": make_image(1)}
    assert not server.requests


PAGE = "https://www.kaggle.com/datasets/some-one/faces.v2"


@pytest.mark.parametrize(
    "address",
    [
        PAGE,
        f"{PAGE}/",
        f"{PAGE}/data?select=a.png#top",
        f"{PAGE}?resource=download",
        f"{PAGE}/versions/7",
        PAGE.removeprefix("https://www."),
        PAGE.replace("https", "http"),
        "https://www.kaggle.com/api/v1/datasets/download/some-one/faces.v2",
    ],
)
def test_the_address_of_a_data_set_is_understood(address: str) -> None:
    params = Params(**DOWNLOAD_PARAMS | {"kaggle_dataset": address, "kaggle_version": 7})
    assert params.kaggle_dataset == "some-one/faces.v2"


def test_an_address_of_another_version_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        validate(Params, DOWNLOAD_PARAMS | {"kaggle_dataset": f"{PAGE}/versions/7", "kaggle_version": 2})
    assert str(caught.value) == (
        f"params.yaml: kaggle_dataset = '{PAGE}/versions/7' is the address of version 7, but kaggle_version = 2: write "
        "kaggle_version: 7"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("../..", "./x", "a/..", "a", "a/b/c", "a/b?c", "https://www.kaggle.com/datasets/../..", f"{PAGE}/../../x"),
        *("https://www.kaggle.com/competitions/faces", "https://kaggle.com.example.org/datasets/a/b"),
    ],
)
def test_a_data_set_name_cannot_lead_out_of_the_cache(name: str) -> None:
    with pytest.raises(ValidationError, match="kaggle_dataset"):
        Params.model_validate({"kaggle_dataset": name})


def test_the_licence_is_stored_with_the_archive(server: KaggleServer, cache: Path) -> None:
    server.licence = "CC0: Public\n Domain\x1b"
    for _ in range(2):
        (licence,) = kaggle.collect("someone/faces", 3).licences
        assert licence.licence == "CC0: Public Domain"
    assert server.count_requests() == (1, 1, 1)


def test_unreadable_credentials_are_an_error_without_the_token(
    server: KaggleServer, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)  # kagglehub looks for a file of that name, which is too long
    with pytest.raises(UserError, match="credentials cannot be read") as caught:
        collect_images()
    assert TOKEN not in str(caught.value)
    assert not server.requests


@pytest.mark.parametrize("token", ["sec\rret", "sec\nret", "sécret", "sec ret", "sec\x7fret", "→", " \r\n"])
@pytest.mark.parametrize("place", ["token", "key"])
def test_a_token_with_wrong_characters_is_one_line_without_the_token(
    server: KaggleServer, cache: Path, monkeypatch: pytest.MonkeyPatch, token: str, place: str
) -> None:
    if place == "token":
        monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    else:
        monkeypatch.setenv("KAGGLE_USERNAME", "someone")
        monkeypatch.setenv("KAGGLE_KEY", token)
    with pytest.raises(UserError, match=r"credentials: the \w+.* is empty, or contains spaces, line breaks") as caught:
        collect_images()
    message = str(caught.value)
    assert "\n" not in message and not any(part in message for part in ("ret", "sec", "é", "→"))
    assert caught.value.__context__ is None
    assert not server.requests


@pytest.mark.parametrize("token", ["KGAT_abc\r", "KGAT_abc\n", " KGAT_abc\r\n"])
def test_white_space_around_a_token_is_removed(
    server: KaggleServer, cache: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    assert collect_images() == IMAGES
    assert server.authorizations["the API"] == {"Bearer KGAT_abc"}


def test_credentials_are_searched_in_kagglehubs_order(
    server: KaggleServer, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / ".kaggle"
    settings.mkdir()
    (settings / "kaggle.json").write_text('{"username": "j", "key": "k"}')
    server.faults = [Fault("download", 401, ALWAYS)]
    for name, value, expected in [
        ("", "", "Basic ajpr"),
        ("KAGGLE_USERNAME", "u", "Basic ajpr"),
        ("KAGGLE_KEY", "k", "Basic dTpr"),
        ("access_token", "in-a-file", "Bearer in-a-file"),
        ("KAGGLE_API_TOKEN", "in-the-air", "Bearer in-the-air"),
    ]:
        if name == "access_token":
            (settings / name).write_text(value)
        elif name:
            monkeypatch.setenv(name, value)
        server.authorizations.clear()
        with pytest.raises(UserError, match="the token is missing, wrong or expired"):
            collect_images()
        assert server.authorizations == {"the API": {expected}}


def run_stage(
    server: KaggleServer, home: Path, limit: int = resource.RLIM_INFINITY, **variables: str
) -> subprocess.CompletedProcess:
    """Run the stage in a process in which no file can grow beyond `limit` bytes."""
    inherited = {
        name: value for name, value in os.environ.items() if "KAGGLE" not in name and "proxy" not in name.lower()
    }
    return subprocess.run(
        [sys.executable, "-m", "support.kaggle_stage", str(home / "out")],
        env=inherited | make_environment(server.port, home) | {"PYTHONPATH": PYTHON_PATH} | variables,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_refusal_writes_no_secret_anywhere(server: KaggleServer, tmp_path: Path) -> None:
    unreadable = f'{{"currentVersionNumber": "{SIGNATURE}"}}'
    server.faults = [Fault("download", 403), Fault("about", text=unreadable, times=ALWAYS)]
    done = run_stage(server, tmp_path, KAGGLE_API_TOKEN=TOKEN[:100])
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("ERROR someone/faces version 3")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = done.stdout + done.stderr + "".join(path.read_text("latin-1") for path in files)
    assert not any(secret in written for secret in (TOKEN[:20], SIGNATURE))


def test_the_manifest_has_the_version_and_the_hashes_and_no_secret(server: KaggleServer, tmp_path: Path) -> None:
    server.licence = "CC0: Public Domain"
    server.faults = [Fault("archive", cut=0.4), Fault("archive"), Fault("archive", 503)]
    token = TOKEN[:100]
    done = run_stage(server, tmp_path, KAGGLE_API_TOKEN=token)
    assert done.returncode == 0, done.stderr
    assert server.authorizations == {"the API": {f"Bearer {token}"}, "the storage": {None}}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["version"]) == ("Kaggle someone/faces", "3")
    assert manifest["licences"][0]["licence"] == "CC0: Public Domain"
    assert manifest["pictures"] == [
        {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in IMAGES.items()
    ]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"manifest.json", "record.json", "3.zip", "3.licence"} <= {path.name for path in written}
    everything = done.stdout + done.stderr + "".join(path.read_text("latin-1") for path in written)
    assert not any(secret in everything for secret in (token[:20], SIGNATURE, "x-goog"))
    assert str(tmp_path) not in done.stdout + done.stderr
    again = run_stage(server, tmp_path)
    assert again.returncode == 0
    assert server.count_requests() == (3, 5, 1)


def test_a_full_disk_is_an_error_without_retries_and_the_next_run_resumes(server: KaggleServer, tmp_path: Path) -> None:
    done = run_stage(server, tmp_path, limit=1_000_000)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    assert "cannot be written to kagglehub's cache (File too large): free some space" in message
    assert str(tmp_path) not in done.stderr
    assert server.count_requests() == (1, 1, 0)
    assert run_stage(server, tmp_path).returncode == 0
    assert server.ranges[1:] == [None, "bytes=1000000-"]
