"""Results pushed to a DVC remote: a fresh clone pulls them and has nothing to run."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import pytest
from dvc.repo import Repo
from support.clone import Clone


@contextmanager
def start_ssh_server(home: Path) -> Iterator[int]:
    """Serve files by SFTP and yield the port on loopback; `home` gets the client's key and the server's public key."""
    (home / ".ssh").mkdir(parents=True)
    server_key, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    key.write_private_key(home / ".ssh" / "key")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[server_key],
            authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
            sftp_factory=True,
        )

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    try:
        port = acceptor.get_port()
        known_host = f"[127.0.0.1]:{port} {server_key.export_public_key().decode()}"
        (home / ".ssh" / "known_hosts").write_text(known_host)
        yield port
    finally:
        loop.call_soon_threadsafe(acceptor.close)
        asyncio.run_coroutine_threadsafe(acceptor.wait_closed(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def check_push_and_pull(source: Clone, fresh: Path, url: str, **environment: str) -> None:
    """Push the results of `source`, pull them into a new git clone, and check that nothing is left to run there."""
    source.dvc("remote", "add", "--default", "shared", url)
    source.commit("add a remote")
    # The key's path is this user's, so it belongs into the local configuration.
    key = ["remote", "modify", "--local", "shared", "keyfile", "~/.ssh/key"] if environment else []
    for command in filter(None, (key, ["push"])):
        source.dvc(*command, check=True, **environment)
    source.run("git", "clone", "--quiet", str(source.root), str(fresh))
    clone = Clone(fresh)
    clone.python = source.python
    clone.dvc("config", "--local", "remote.checkout.url", ".")
    for command in filter(None, (key, ["pull"])):
        clone.dvc(*command, check=True, **environment)
    assert "Data and pipelines are up to date." in clone.dvc("repro").stdout
    assert clone.run("git", "status", "--porcelain").stdout == ""
    why = [clone.python, "-m", "omokage.cli.main", "why", "--json", "results/figures/samples.png"]
    assert json.loads(clone.run(*why, PYTHONPATH="src").stdout)["params"]["train"]["steps"] == 6


@pytest.mark.slow
def test_a_fresh_clone_has_nothing_to_run_after_a_pull_from_a_folder(
    copy_clone: Callable[[], Clone], tmp_path: Path
) -> None:
    check_push_and_pull(copy_clone(), tmp_path / "fresh", str(tmp_path / "shared"))


def test_a_fresh_clone_has_nothing_to_run_after_a_pull_by_ssh(copy_clone: Callable[[], Clone], tmp_path: Path) -> None:
    with start_ssh_server(tmp_path / "home") as port:
        url = f"ssh://127.0.0.1:{port}{tmp_path / 'shared'}"
        check_push_and_pull(copy_clone(), tmp_path / "fresh", url, HOME=str(tmp_path / "home"))


def test_registries_can_list_the_model_as_an_artifact(finished_clone: Clone) -> None:
    (artifact,) = Repo(str(finished_clone.root)).artifacts.read()["dvc.yaml"].values()
    assert artifact.type == "model" and artifact.desc
    assert (finished_clone.root / artifact.path).is_file()
