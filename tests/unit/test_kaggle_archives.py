"""Archives of Kaggle: a zip, a tar, damaged and partial ones, with the real kagglehub client and a loopback server."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.kaggle_server import KaggleServer
from support.kaggle_source import IMAGES, collect_images, make_image, make_zip

from omokage.base.errors import UserError
from omokage.data.sources import kaggle
from omokage.data.sources.container import DAMAGED

pytest_plugins = ["support.kaggle_fixtures"]


def test_a_tar_is_read_as_well(server: KaggleServer, hub_cache: Path) -> None:
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
    server: KaggleServer, hub_cache: Path, archive: bytes, sends_md5: bool
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
    hub_cache: Path,
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


def test_a_partial_archive_of_full_size_is_checked(server: KaggleServer, hub_cache: Path, archive: bytes) -> None:
    hub_cache.mkdir(parents=True)
    (hub_cache / "3.archive").write_bytes(bytes(len(archive)))
    assert collect_images() == IMAGES
    (hub_cache / "3.zip").rename(hub_cache / "3.archive")
    assert collect_images() == IMAGES
    assert server.count_requests() == (3, 3, 2)


def test_a_data_set_unpacked_by_kagglehub_is_used_without_a_request(server: KaggleServer, hub_cache: Path) -> None:
    folder = hub_cache / "versions" / "3" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(make_image(1))
    (hub_cache / "3.complete").touch()
    assert collect_images() == {"deep/a.png": make_image(1)}
    assert not server.requests


def test_the_licence_is_stored_with_the_archive(server: KaggleServer, hub_cache: Path) -> None:
    server.licence = "CC0: Public\n Domain\x1b"
    for _ in range(2):
        (licence,) = kaggle.collect("someone/faces", 3).licences
        assert licence.licence == "CC0: Public Domain"
    assert server.count_requests() == (1, 1, 1)
