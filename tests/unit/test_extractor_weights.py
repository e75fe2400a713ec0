"""The Inception weights: fetched from a local server with the faults of a real network, and checked by sha256."""

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.evaluation import LITE, draw_faces, save_stand_in_weights, score_samples, write_reference
from support.kaggle_server import Fault, KaggleServer, serve
from support.training import CPU

from omokage.base.errors import UserError
from omokage.base.job import Job
from omokage.evaluation.features.extractors import EXTRACTORS, INCEPTION_FILE
from omokage.evaluation.scores import distances
from omokage.net import download, retry
from omokage.params.extractor_weights import Params
from omokage.stages import extractor_weights

ALWAYS = 99  # more responses than any test requests

# The published Inception weights are TorchScript, which PyTorch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of the weights file that the server offers."""
    path = tmp_path_factory.mktemp("published") / "standin.pt"
    save_stand_in_weights(path)
    return path.read_bytes()


@pytest.fixture
def server(published: bytes) -> Iterator[KaggleServer]:
    with serve({("clean-fid", "inception", 1): published}) as server:
        yield server


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch, server: KaggleServer, tmp_path: Path) -> Path:
    """The main checkout and current folder of a process that downloads from the server, with short pauses."""
    for name in [name for name in os.environ if name.startswith("OMOKAGE_WEIGHTS") or "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMOKAGE_WEIGHTS_URL", f"http://127.0.0.1:{server.port}/clean-fid/inception/1.zip")
    monkeypatch.setattr(retry, "PAUSES", (0.02, 0.05))
    monkeypatch.setattr(download, "TIMEOUT", (1.0, 0.3))
    monkeypatch.setattr(download, "CHUNK", 1024)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_stage(extractor: str = "inception") -> Job[Params]:
    """Run the stage in the current folder; its output is in out/."""
    params, outputs = Params.model_validate({"extractor": extractor}), {"data/extractor_weights": Path("out")}
    job = Job(params, {}, outputs, Path("work"), threads=1)
    extractor_weights.run(job)
    return job


def run_stage_and_fail() -> str:
    """Run the stage, which must fail, and return its message: one line that names the alternative."""
    with pytest.raises(UserError) as error:
        run_stage()
    assert "\n" not in str(error.value) and LITE in str(error.value) and "127.0.0.1" not in str(error.value)
    return str(error.value)


def test_weights_are_fetched_once_recorded_and_used_for_fid(
    server: KaggleServer, checkout: Path, published: bytes
) -> None:
    job = run_stage()
    digest = hashlib.sha256(published).hexdigest()
    assert job.facts == {"weights_sha256": digest}
    assert [path.name for path in Path("out").iterdir()] == [INCEPTION_FILE]
    assert Path("out", INCEPTION_FILE).read_bytes() == published
    assert Path("weights", f"{INCEPTION_FILE}.sha256").read_text() == f"{digest}  {INCEPTION_FILE}\n"
    assert not list(checkout.rglob("*.partial"))
    run_stage()
    assert server.requests == ["archive"]

    write_reference(checkout, "inception", held_out=5, train=6, weights=checkout / "out")
    metrics = score_samples(checkout, "inception", draw_faces(4, 3), weights=checkout / "out")
    extractor = EXTRACTORS["inception"](CPU, checkout / "weights")
    features, reference = (extractor.compute_features(faces) for faces in (draw_faces(4, 3), draw_faces(5, 1)))
    assert metrics["fid"] == pytest.approx(distances.compute_frechet(features, reference), rel=1e-4)


def test_an_interrupted_download_continues(server: KaggleServer, published: bytes) -> None:
    server.faults = [Fault("archive", cut=0.4)]
    run_stage()
    assert Path("out", INCEPTION_FILE).read_bytes() == published
    # The second attempt requests the size, then the rest.
    assert len(server.ranges) == 3 and server.ranges[:2] == [None, None]
    received = int(str(server.ranges[2]).removeprefix("bytes=").removesuffix("-"))
    assert 0 <= 0.4 * len(published) - received < download.CHUNK


def test_a_failed_download_keeps_the_received_part(server: KaggleServer, checkout: Path, published: bytes) -> None:
    server.faults = [Fault("archive", cut=0.4, times=ALWAYS)]
    assert "the connection to the server failed (" in run_stage_and_fail()
    partial = checkout / "weights" / "inception-2015-12-05.partial"
    received = partial.stat().st_size
    assert 0 < received <= 0.4 * len(published)
    server.faults, server.ranges = [], []
    run_stage()
    assert server.ranges == [None, f"bytes={received}-"]
    assert Path("out", INCEPTION_FILE).read_bytes() == published and not partial.exists()


@pytest.mark.parametrize("status", [404, 503])
def test_an_http_error_is_reported(server: KaggleServer, status: int) -> None:
    server.faults = [Fault("archive", status, ALWAYS)]
    assert f"the server answered with HTTP status {status}" in run_stage_and_fail()
    assert len(server.requests) == (1 if status == 404 else 3)


def test_a_login_page_instead_of_the_file_is_removed(server: KaggleServer, checkout: Path) -> None:
    server.datasets["clean-fid", "inception", 1] = b"<html>please log in</html>"
    assert "the downloaded file is not TorchScript and was removed" in run_stage_and_fail()
    assert [path.suffix for path in (checkout / "weights").iterdir()] == [".lock"]


def test_without_a_network_the_message_says_where_to_save_the_file(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OMOKAGE_WEIGHTS_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/")
        message = run_stage_and_fail()
    assert "check the network" in message and "download https://nvlabs" in message
    assert f"yourself and save it as {checkout / 'weights' / INCEPTION_FILE}" in message


@pytest.mark.parametrize("uses_variable", [False, True])
def test_a_file_saved_by_the_user_is_used_without_a_request(
    uses_variable: bool, server: KaggleServer, checkout: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkout / ("shared" if uses_variable else "weights")
    folder.mkdir()
    if uses_variable:
        monkeypatch.setenv("OMOKAGE_WEIGHTS", str(folder))
    (folder / INCEPTION_FILE).write_bytes(published)
    experiment = checkout / ".dvc/tmp/exps/tmp1234"
    experiment.mkdir(parents=True)
    monkeypatch.chdir(experiment)
    run_stage()
    assert (experiment / "out" / INCEPTION_FILE).read_bytes() == published
    assert server.requests == []
    assert (folder / f"{INCEPTION_FILE}.sha256").exists()


def test_weights_that_differ_from_the_recorded_sha256_are_refused(checkout: Path) -> None:
    run_stage()
    weights = checkout / "weights" / INCEPTION_FILE
    original = weights.read_bytes()
    save_stand_in_weights(weights, seed=1)
    with pytest.raises(UserError) as error:
        run_stage()
    for digest in (hashlib.sha256(weights.read_bytes()).hexdigest(), hashlib.sha256(original).hexdigest()):
        assert digest in str(error.value)
    assert "restore the earlier file, or remove both files" in str(error.value) and "\n" not in str(error.value)
    weights.write_bytes(original)
    run_stage()


def test_the_sha256_of_a_file_that_is_not_torchscript_is_not_recorded(checkout: Path) -> None:
    weights = checkout / "weights" / INCEPTION_FILE
    weights.parent.mkdir()
    weights.write_text("<html>not found</html>")
    assert f"{weights} is not TorchScript" in run_stage_and_fail()
    assert not weights.with_name(f"{INCEPTION_FILE}.sha256").exists()


def test_a_weights_folder_that_cannot_be_created_is_reported(checkout: Path) -> None:
    (checkout / "weights").write_text("a file where the folder should be")
    assert "cannot be read or written (File exists)" in run_stage_and_fail()


def test_the_packaged_extractor_needs_no_download(server: KaggleServer) -> None:
    run_stage(LITE)
    assert [path.read_text() for path in Path("out").iterdir()] == [f"The weights of {LITE} come with its package.\n"]
    assert server.requests == [] and not Path("weights").exists()
