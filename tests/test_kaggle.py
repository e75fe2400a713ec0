"""The kaggle source, with the real kagglehub client and a server on a loopback port."""

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
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from kaggle_server import SIGNATURE, Fault, Kaggle, environment, serve
from PIL import Image
from pydantic import ValidationError

from omokage.data import patience, transfer
from omokage.data.sources import kaggle
from omokage.errors import Refused
from omokage.params.download import Params

ROOT = Path(__file__).parents[1]
TOKEN = "KGAT_" + "secret" * 50  # longer than any file's name can be
# The whole stage, in a process of its own.
STAGE = """
import json, sys
from pathlib import Path
from omokage.data import patience
from omokage.errors import Refused
from omokage.job import Job
from omokage.params.download import Params
from omokage.stages import download
patience.PAUSES = (0.02, 0.05)
out = Path(sys.argv[1])
out.mkdir(exist_ok=True)
params = dict(source="kaggle", avatar_styles=["lorelei"], avatar_count=1, avatar_backgrounds=["ffffff"], avatar_size=32,
    avatar_seed=0, folder="pictures", kaggle_dataset="someone/faces", kaggle_version=3)
outputs = {name: out / Path(name).name for name in ("data/pictures.zip", "data/manifest.json")}
job = Job(Params(**params), inputs={}, outputs=outputs, work=out, threads=1)
try:
    download.run(job)
except Refused as refused:
    sys.exit(f"REFUSED {refused}")
(out / "record.json").write_text(json.dumps(job.facts))
"""


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


DEEP = "/".join(["深い folder"] * 9) + "/" + "é" * 125 + "x.jpg"  # its last part has 255 bytes
PICTURES = {"a.PNG": picture(1), "archive/deep/b.png": picture(2), DEEP: picture(3)}


def packed(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as into:
        for name, content in files.items():
            into.writestr(name, content)
    return file.getvalue()


@pytest.fixture(scope="module")
def archive() -> bytes:
    labels = random.Random(0).randbytes(2_000_000)
    return packed({**PICTURES, "__MACOSX/a.PNG": b"junk", "labels.csv": labels})


@pytest.fixture
def server(archive: bytes) -> Iterator[Kaggle]:
    with serve({("someone", "faces", 3): archive}) as kaggle:
        yield kaggle


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, server: Kaggle, tmp_path: Path) -> Path:
    """Lead this process to the server, and make it impatient; return the folder of the data set in the cache."""
    for name in [name for name in os.environ if "KAGGLE" in name or "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    for name, value in environment(server.port, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(patience, "PAUSES", (0.02, 0.05, 0.1))
    monkeypatch.setattr(patience, "TRIES", 8)
    monkeypatch.setattr(transfer, "TIMEOUT", (1.0, 0.3))
    return tmp_path / "kagglehub" / "datasets" / "someone" / "faces"


def collected(version: int = 3) -> dict[str, bytes]:
    files = kaggle.collect("someone/faces", version).files
    return {name: content for name, content in files if isinstance(content, bytes)}


class Row(NamedTuple):
    name: str
    faults: list[Fault]  # in the order in which they befall the answers
    asked: tuple[int, int, int]  # how often DownloadDataset, the archive and GetDataset are asked for, in one run
    outcome: str  # WHOLE, or a part of the refusal
    left: int = 0  # per cent of the archive that the next run need not bring again


EVER, WHOLE = 99, "whole"
SOUND, CUT, WRONG = Fault("archive"), Fault("archive", cut=0.4), Fault("archive", wrong_md5=True)
LATER_AND_LATER = [Fault("archive", cut=number // 2 / 20) for number in range(2, 40)]
# After a break each try asks for the archive twice, as kagglehub does: for its size and MD5, and for the rest of it.
TABLE = [
    Row("nothing", [], (1, 1, 1), WHOLE),
    Row("cut at 40 % and at 80 %", [CUT, SOUND, Fault("archive", cut=0.8)], (3, 5, 1), WHOLE),
    Row("cut at 40 % for ever", [Fault("archive", cut=0.4, times=EVER)], (4, 7, 0), "check the network", 40),
    Row("cut 5 % later each time", LATER_AND_LATER, (8, 15, 0), "(after 8 tries)", 40),
    Row("silence at 40 %", [Fault("archive", cut=0.4, stall=True)], (2, 3, 1), WHOLE),
    Row("silence of the API", [Fault("download", stall=True, times=EVER)], (4, 0, 0), "(ReadTimeout) (after 4 tries)"),
    Row("401", [Fault("download", 401)], (1, 0, 0), "asks for a login: create a token"),
    Row("403", [Fault("download", 403)], (1, 0, 0), "accept the data set's terms"),
    Row("403 of the storage", [Fault("archive", 403)], (1, 1, 0), "accept the data set's terms"),
    Row("404", [Fault("download", 404)], (1, 0, 1), "its current version is 3: set kaggle_version: 3"),
    Row("404 twice", [Fault("download", 404), Fault("about", 404)], (1, 0, 1), "not be asked for either (Kaggle"),
    Row("404, then 500s", [Fault("download", 404), Fault("about", 500, EVER)], (1, 0, 4), "status 500)"),
    Row("429 once, wait 1 s", [Fault("download", 429, retry_after="1")], (2, 1, 1), WHOLE),
    Row("429 for ever", [Fault("download", 429, EVER, retry_after="0")], (4, 0, 0), "asked too often"),
    Row("500 three times", [Fault("download", 500, 3)], (4, 1, 1), WHOLE),
    Row("500 for ever", [Fault("download", 500, EVER)], (4, 0, 0), "status 500 (after 4 tries): run again later"),
    Row("503 of the storage", [Fault("archive", 503, 2)], (3, 3, 1), WHOLE),
    Row("503 when resuming", [CUT, SOUND, Fault("archive", 503)], (3, 5, 1), WHOLE),
    Row("no ranges after all", [CUT, Fault("archive", no_ranges=True, times=2)], (2, 3, 1), WHOLE),
    Row("wrong MD5 once", [WRONG], (2, 2, 1), WHOLE),
    Row("wrong MD5 for ever", [WRONG] * EVER, (4, 4, 0), "not the MD5 that Kaggle states"),
    Row("500s for the licence", [Fault("about", 500, EVER)], (1, 1, 4), WHOLE),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_fault(row: Row, server: Kaggle, here: Path, archive: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    server.faults = list(row.faults)
    if row.outcome == WHOLE:
        assert collected() == PICTURES
    else:
        with pytest.raises(Refused) as refused:
            collected()
        message = str(refused.value)
        assert row.outcome in message
        assert message.startswith("someone/faces version 3") and "\n" not in message
        assert not any(word in message for word in (SIGNATURE, "127.0.0.1", str(here)))
    said = capfd.readouterr().err
    print(
        "OBSERVED", row.name, server.counts(), said.count("trying again in"), row.outcome == WHOLE or message, sep=" | "
    )
    assert server.counts() == row.asked
    retries = max(row.asked[0] - 1, 0) + max(row.asked[2] - 1, 0)
    assert said.count("trying again in") == retries
    assert SIGNATURE not in said and str(here) not in said
    assert (here / "3.zip").exists() == (row.outcome == WHOLE)
    if row.outcome != WHOLE:
        left = (here / "3.archive").stat().st_size if (here / "3.archive").exists() else 0
        assert 0 <= row.left / 100 * len(archive) - left < transfer.CHUNK
        server.faults, server.ranges = [], []
        assert collected() == PICTURES
        assert server.ranges[1:] == ([f"bytes={left}-"] if left else [])
    assert (here / "3.zip").read_bytes() == archive
    before = len(server.asked)
    assert collected() == PICTURES
    assert len(server.asked) == before


def test_waits_as_long_as_it_is_asked_to_but_not_for_ever(
    server: Kaggle, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    asked = ["7", "1e9", "Wed, 25 Nov 2026 00:00:00 GMT", "soon", "-3", "nan"]
    server.faults = [Fault("archive", 503, retry_after=value) for value in asked[:3]]
    assert collected() == PICTURES
    assert waits == [7, patience.LONGEST, 0.1]
    assert [transfer.seconds(value) for value in asked[3:5]] == [0, -3]
    assert "HTTP status 503; trying again in 7 s\n" in capfd.readouterr().err


def test_a_missing_version_is_answered_with_the_current_one(server: Kaggle, here: Path) -> None:
    with pytest.raises(Refused, match=r"someone/faces version 4: .* its current version is 3: set kaggle_version: 3"):
        collected(version=4)
    with pytest.raises(Refused, match=r"check kaggle_dataset .* could not be asked for either \(Kaggle answered .*4"):
        kaggle.collect("someone/else", 1)


def test_nothing_listens(server: Kaggle, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(Refused, match=r"failed \(\w+\) \(after 4 tries\): check the network and run again"):
            collected()


def tar_of(archive: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as into:
        into.addfile(tarfile.TarInfo("a.png"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("spoil", "asked", "message"),
    [
        (
            lambda whole: whole[: len(whole) // 2],
            (4, 4, 0),
            r"arrived damaged \(no sound zip\) and is deleted \(after 4",
        ),
        (lambda whole: b"<html>log in</html>", (4, 4, 0), r"arrived damaged \(no sound zip\)"),
        (lambda whole: whole.replace(PICTURES["a.PNG"], bytes(99)), (1, 1, 1), r"a\.PNG in .* is deleted from"),
        (tar_of, (1, 1, 0), "delivers it as a tar"),
        (lambda whole: packed({"readme.txt": b"nothing to see"}), (1, 1, 1), "holds no picture"),
    ],
    ids=["truncated", "no zip", "a damaged picture", "a tar", "no picture"],
)
@pytest.mark.parametrize("says_md5", [True, False])
def test_the_archive_itself_is_no_good(
    server: Kaggle,
    here: Path,
    archive: bytes,
    says_md5: bool,
    spoil: Callable[[bytes], bytes],
    asked: tuple[int, int, int],
    message: str,
) -> None:
    server.datasets["someone", "faces", 3] = spoil(archive)
    server.says_md5 = says_md5
    with pytest.raises(Refused, match=message):
        collected()
    assert server.counts() == asked
    if "deleted" in message:
        server.datasets["someone", "faces", 3] = archive
        assert collected() == PICTURES


def test_a_full_sized_but_broken_partial_archive_is_not_taken(server: Kaggle, here: Path, archive: bytes) -> None:
    here.mkdir(parents=True)
    (here / "3.archive").write_bytes(bytes(len(archive)))
    assert collected() == PICTURES
    (here / "3.zip").rename(here / "3.archive")
    assert collected() == PICTURES
    assert server.counts() == (3, 3, 2)


def test_two_that_start_together_download_once(server: Kaggle, here: Path) -> None:
    server.faults = [Fault("archive", cut=0.4, stall=True)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: collected(), range(2))) == [PICTURES] * 2
    assert server.counts() == (2, 3, 1)


def test_what_kagglehub_has_unpacked_is_used_without_a_request(server: Kaggle, here: Path) -> None:
    folder = here / "versions" / "3" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(picture(1))
    (here / "3.complete").touch()
    assert collected() == {"deep/a.png": picture(1)}
    assert not server.asked


@pytest.mark.parametrize("name", ["../..", "./x", "a/..", "a", "a/b/c", "a/b?c"])
def test_a_data_set_is_an_owner_and_a_name_and_never_leads_out_of_the_cache(name: str) -> None:
    with pytest.raises(ValidationError, match="kaggle_dataset"):
        Params.model_validate({"kaggle_dataset": name})


def test_the_licence_is_kept(server: Kaggle, here: Path) -> None:
    server.licence = "CC0: Public\n Domain\x1b"
    for _ in range(2):
        (licence,) = kaggle.collect("someone/faces", 3).licences
        assert licence.licence == "CC0: Public Domain"
    assert server.counts() == (1, 1, 1)


def test_unreadable_credentials_are_refused(
    server: Kaggle, here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)  # kagglehub looks for a file of that name, which is too long
    with pytest.raises(Refused, match="credentials cannot be read") as refused:
        collected()
    assert TOKEN not in str(refused.value)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "töken→")
    with pytest.raises(Refused, match="hold characters that no token has"):
        collected()
    assert not server.asked


def test_credentials_are_taken_in_kagglehubs_order(
    server: Kaggle, here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / ".kaggle"
    settings.mkdir()
    (settings / "kaggle.json").write_text('{"username": "j", "key": "k"}')
    server.faults = [Fault("download", 401, EVER)]
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
        with pytest.raises(Refused, match="asks for a login"):
            collected()
        assert server.authorizations == {"the API": {expected}}


def stage(server: Kaggle, home: Path, limit: int = resource.RLIM_INFINITY, **more: str) -> subprocess.CompletedProcess:
    """Run the stage where no file can grow beyond `limit` bytes."""
    inherited = {
        name: value for name, value in os.environ.items() if "KAGGLE" not in name and "proxy" not in name.lower()
    }
    return subprocess.run(
        [sys.executable, "-c", STAGE, str(home / "out")],
        env=inherited | environment(server.port, home) | {"PYTHONPATH": str(ROOT / "src")} | more,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_manifest_holds_the_version_and_the_hashes_and_no_secret(server: Kaggle, tmp_path: Path) -> None:
    server.licence = "CC0: Public Domain"
    server.faults = [Fault("archive", cut=0.4), Fault("archive"), Fault("archive", 503)]
    token = TOKEN[:100]
    done = stage(server, tmp_path, KAGGLE_API_TOKEN=token)
    assert done.returncode == 0, done.stderr
    assert server.authorizations == {"the API": {f"Bearer {token}"}, "the storage": {None}}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["version"]) == ("Kaggle someone/faces", "3")
    assert manifest["licences"][0]["licence"] == "CC0: Public Domain"
    assert manifest["pictures"] == [
        {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in PICTURES.items()
    ]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"manifest.json", "record.json", "3.zip", "3.licence"} <= {path.name for path in written}
    everything = done.stdout + done.stderr + "".join(path.read_text("latin-1") for path in written)
    assert not any(secret in everything for secret in (token[:20], SIGNATURE, "x-goog"))
    assert str(tmp_path) not in done.stdout + done.stderr
    again = stage(server, tmp_path)
    assert again.returncode == 0
    assert server.counts() == (3, 5, 1)


def test_a_full_disk_is_refused_at_once_and_the_download_goes_on_from_there(server: Kaggle, tmp_path: Path) -> None:
    done = stage(server, tmp_path, limit=1_000_000)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("REFUSED")]
    assert "cannot be written to kagglehub's cache (File too large): make room" in message
    assert str(tmp_path) not in done.stderr
    assert server.counts() == (1, 1, 0)
    assert stage(server, tmp_path).returncode == 0
    assert server.ranges[1:] == [None, "bytes=1000000-"]
