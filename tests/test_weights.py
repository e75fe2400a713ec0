"""The Inception weights, brought from a server on a loopback port with the faults of a real network, and checked."""

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from kaggle_server import Fault, Kaggle, serve
from test_evaluation import CPU, LITE, Standin, faces, refer, score

from omokage.data import patience, transfer
from omokage.errors import Refused
from omokage.evaluation import INCEPTION_WEIGHTS, distances
from omokage.evaluation.features import EXTRACTORS
from omokage.job import Job
from omokage.params.weights import Params
from omokage.stages import weights

EVER = 99

# The published Inception weights are TorchScript, however deprecated that is.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("published") / "standin.pt"
    torch.jit.script(Standin()).save(path)
    return path.read_bytes()


@pytest.fixture
def server(published: bytes) -> Iterator[Kaggle]:
    with serve({("clean-fid", "inception", 1): published}) as server:
        yield server


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, server: Kaggle, tmp_path: Path) -> Path:
    """Lead this process to the server, and make it impatient; return the main checkout, where it is now."""
    for name in [name for name in os.environ if name.startswith("OMOKAGE_WEIGHTS") or "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMOKAGE_WEIGHTS_URL", f"http://127.0.0.1:{server.port}/clean-fid/inception/1.zip")
    monkeypatch.setattr(patience, "PAUSES", (0.02, 0.05))
    monkeypatch.setattr(transfer, "TIMEOUT", (1.0, 0.3))
    monkeypatch.setattr(transfer, "CHUNK", 1024)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bring(extractor: str = "inception") -> Job[Params]:
    """Run the stage where we are; its out lies in out/."""
    job = Job(Params.model_validate({"extractor": extractor}), {}, {"data/weights": Path("out")}, Path("work"), 1)
    weights.run(job)
    return job


def refused() -> str:
    """Return why the stage is refused."""
    with pytest.raises(Refused) as error:
        bring()
    assert "\n" not in str(error.value) and LITE in str(error.value) and "127.0.0.1" not in str(error.value)
    return str(error.value)


def test_they_are_fetched_once_recorded_and_judge(server: Kaggle, here: Path, published: bytes) -> None:
    job = bring()
    digest = hashlib.sha256(published).hexdigest()
    assert job.facts == {"weights_sha256": digest}
    assert [path.name for path in Path("out").iterdir()] == [INCEPTION_WEIGHTS]
    assert Path("out", INCEPTION_WEIGHTS).read_bytes() == published
    assert Path("weights", f"{INCEPTION_WEIGHTS}.sha256").read_text() == f"{digest}  {INCEPTION_WEIGHTS}\n"
    assert not list(here.rglob("*.partial"))
    bring()
    assert server.asked == ["archive"]

    refer(here, "inception", held_out=5, train=6, weights=here / "out")
    metrics = score(here, "inception", faces(4, 3), weights=here / "out")
    by_hand = EXTRACTORS["inception"](CPU, here / "weights").features
    assert metrics["fid"] == pytest.approx(distances.frechet(by_hand(faces(4, 3)), by_hand(faces(5, 1))), rel=1e-4)


def test_a_connection_that_is_cut_is_gone_on_with(server: Kaggle, published: bytes) -> None:
    server.faults = [Fault("archive", cut=0.4)]
    bring()
    assert Path("out", INCEPTION_WEIGHTS).read_bytes() == published
    # The second try asks for the size, then for the rest.
    assert len(server.ranges) == 3 and server.ranges[:2] == [None, None]
    held = int(str(server.ranges[2]).removeprefix("bytes=").removesuffix("-"))
    assert 0 <= 0.4 * len(published) - held < transfer.CHUNK


def test_what_has_come_is_kept_when_it_gives_up(server: Kaggle, here: Path, published: bytes) -> None:
    server.faults = [Fault("archive", cut=0.4, times=EVER)]
    assert "the connection to their server failed (" in refused()
    partial = here / "weights" / "inception-2015-12-05.partial"
    held = partial.stat().st_size
    assert 0 < held <= 0.4 * len(published)
    server.faults, server.ranges = [], []
    bring()
    assert server.ranges == [None, f"bytes={held}-"]
    assert Path("out", INCEPTION_WEIGHTS).read_bytes() == published and not partial.exists()


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_that_has_none_is_refused(server: Kaggle, status: int) -> None:
    server.faults = [Fault("archive", status, EVER)]
    assert f"their server answered with HTTP status {status}" in refused()
    assert len(server.asked) == (1 if status == 404 else 3)


def test_a_page_in_place_of_the_file_is_not_kept(server: Kaggle, here: Path) -> None:
    server.datasets["clean-fid", "inception", 1] = b"<html>please log in</html>"
    assert "what arrived is no TorchScript and is deleted" in refused()
    assert [path.suffix for path in (here / "weights").iterdir()] == [".lock"]


def test_without_a_network_it_says_where_to_put_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OMOKAGE_WEIGHTS_URL", f"http://127.0.0.1:{free.getsockname()[1]}/")
        message = refused()
    assert "check the network" in message and "put the file (https://nvlabs" in message
    assert f"at {here / 'weights' / INCEPTION_WEIGHTS} by hand" in message


@pytest.mark.parametrize("named", [False, True])
def test_a_file_placed_by_hand_is_taken_without_a_request(
    named: bool, server: Kaggle, here: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here / ("shared" if named else "weights")
    folder.mkdir()
    if named:
        monkeypatch.setenv("OMOKAGE_WEIGHTS", str(folder))
    (folder / INCEPTION_WEIGHTS).write_bytes(published)
    experiment = here / ".dvc/tmp/exps/tmp1234"
    experiment.mkdir(parents=True)
    monkeypatch.chdir(experiment)
    bring()
    assert (experiment / "out" / INCEPTION_WEIGHTS).read_bytes() == published
    assert server.asked == []
    assert (folder / f"{INCEPTION_WEIGHTS}.sha256").exists()


def test_another_content_than_before_is_refused(here: Path) -> None:
    bring()
    placed = here / "weights" / INCEPTION_WEIGHTS
    before = placed.read_bytes()
    torch.jit.script(Standin(seed=1)).save(placed)
    with pytest.raises(Refused) as error:
        bring()
    for digest in (hashlib.sha256(placed.read_bytes()).hexdigest(), hashlib.sha256(before).hexdigest()):
        assert digest in str(error.value)
    assert "put the file of before back, or delete both" in str(error.value) and "\n" not in str(error.value)
    placed.write_bytes(before)
    bring()


def test_what_is_no_torchscript_is_never_recorded(here: Path) -> None:
    placed = here / "weights" / INCEPTION_WEIGHTS
    placed.parent.mkdir()
    placed.write_text("<html>not found</html>")
    assert f"{placed} is no TorchScript" in refused()
    assert not placed.with_name(f"{INCEPTION_WEIGHTS}.sha256").exists()


def test_a_folder_that_cannot_be_written_is_refused(here: Path) -> None:
    (here / "weights").write_text("a file where the folder should be")
    assert "cannot be read or written (File exists)" in refused()


def test_the_packaged_extractor_needs_no_file(server: Kaggle) -> None:
    bring(LITE)
    assert [path.read_text() for path in Path("out").iterdir()] == [f"The weights of {LITE} come with its package.\n"]
    assert server.asked == [] and not Path("weights").exists()
