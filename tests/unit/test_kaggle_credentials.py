"""The source kaggle and the user's token: it is found, checked and never written."""

import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from support.clone import PYTHON_PATH
from support.kaggle_server import SIGNATURE, Fault, KaggleServer, make_environment
from support.kaggle_source import ALWAYS, IMAGES, TOKEN, collect_images

from omokage.base.errors import UserError

pytest_plugins = ["support.kaggle_fixtures"]


def test_unreadable_credentials_are_an_error_without_the_token(
    server: KaggleServer, hub_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)  # kagglehub looks for a file of that name, which is too long
    with pytest.raises(UserError, match="credentials cannot be read") as caught:
        collect_images()
    assert TOKEN not in str(caught.value)
    assert not server.requests


@pytest.mark.parametrize("token", ["sec\rret", "sec\nret", "sécret", "sec ret", "sec\x7fret", "→", " \r\n"])
@pytest.mark.parametrize("place", ["token", "key"])
def test_a_token_with_wrong_characters_is_one_line_without_the_token(
    server: KaggleServer, hub_cache: Path, monkeypatch: pytest.MonkeyPatch, token: str, place: str
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
    server: KaggleServer, hub_cache: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    assert collect_images() == IMAGES
    assert server.authorizations["the API"] == {"Bearer KGAT_abc"}


def test_credentials_are_searched_in_kagglehubs_order(
    server: KaggleServer, hub_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
