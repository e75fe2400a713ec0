"""A run that is pushed to a remote: a fresh clone pulls it and has nothing to run."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
from conftest import Clone
from dvc.repo import Repo


@contextmanager
def ssh_server(home: Path) -> Iterator[int]:
    """Serve files by SFTP on a loopback port, to whoever has the key in `home`, which also knows the server."""
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
        known = f"[127.0.0.1]:{port} {server_key.export_public_key().decode()}"
        (home / ".ssh" / "known_hosts").write_text(known)
        yield port
    finally:
        loop.call_soon_threadsafe(acceptor.close)
        asyncio.run_coroutine_threadsafe(acceptor.wait_closed(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def pull_and_rerun(there: Clone, fresh: Path, url: str, **environment: str) -> None:
    """Push the finished clone `there`, pull it into another one: nothing runs there, and its figures can testify."""
    there.dvc("remote", "add", "--default", "shared", url)
    there.commit("where the results are shared")
    # What is only this user's, as the key's place is, belongs into the local configuration.
    key = ["remote", "modify", "--local", "shared", "keyfile", "~/.ssh/key"] if environment else []
    for command in filter(None, (key, ["push"])):
        there.dvc(*command, check=True, **environment)
    there.run("git", "clone", "--quiet", str(there.root), str(fresh))
    clone = Clone.at(fresh)
    clone.dvc("config", "--local", "remote.checkout.url", ".")
    for command in filter(None, (key, ["pull"])):
        clone.dvc(*command, check=True, **environment)
    assert "Data and pipelines are up to date." in clone.dvc("repro").stdout
    assert clone.run("git", "status", "--porcelain").stdout == ""
    why = [sys.executable, "-m", "omokage.cli", "why", "--json", "results/figures/samples.png"]
    assert json.loads(clone.run(*why, PYTHONPATH="src").stdout)["params"]["train"]["steps"] == 6


def test_a_fresh_clone_has_nothing_to_run_after_a_pull_from_a_folder(
    copy_of: Callable[[], Clone], tmp_path: Path
) -> None:
    pull_and_rerun(copy_of(), tmp_path / "fresh", str(tmp_path / "shared"))


def test_a_fresh_clone_has_nothing_to_run_after_a_pull_by_ssh(copy_of: Callable[[], Clone], tmp_path: Path) -> None:
    with ssh_server(tmp_path / "home") as port:
        url = f"ssh://127.0.0.1:{port}{tmp_path / 'shared'}"
        pull_and_rerun(copy_of(), tmp_path / "fresh", url, HOME=str(tmp_path / "home"))


def test_the_model_is_an_artifact_that_registries_list(finished: Clone) -> None:
    (artifact,) = Repo(str(finished.root)).artifacts.read()["dvc.yaml"].values()
    assert artifact.type == "model" and artifact.desc
    assert (finished.root / artifact.path).is_file()
