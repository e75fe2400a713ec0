"""Archives that are damaged, hostile or unusable are refused or read in part, within limits."""

import errno
import gzip
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.archives import TarMode, write_tar, write_zip
from support.images import fake_png, read_zip, run_download

from omokage.base.errors import UserError
from omokage.data.sources import archive, container

IMAGES = {name: fake_png(name) for name in ("b.jpg", "sub/ü.PNG", "a")}


def test_a_file_over_the_maximum_size_is_skipped(tmp_path: Path) -> None:
    packed = tmp_path / "large.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("large.png", fake_png("large").ljust(container.MAX_FILE_SIZE + 1))
    with pytest.raises(UserError, match=r"holds no image \(1 × too large: more than 268435456 bytes\)"):
        run_download(tmp_path, packed, source="folder")


def test_a_zip_bomb_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "bomb.zip"
    zeros = fake_png("zeros").ljust(container.RATIO_EXEMPT_SIZE // 2, b"\0")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.bmp", zeros)
        file.writestr("b.bmp", zeros)
    assert run_download(tmp_path, packed, source="folder")[1]["count"] == 2
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("c.bmp", fake_png("one more"))
    with pytest.raises(UserError, match=r"'pictures' would unpack to more than 67108864 bytes: .* 200 for each byte"):
        run_download(tmp_path, packed, source="folder")
    monkeypatch.setattr(container, "MAX_RATIO", 2000)
    assert run_download(tmp_path, packed, source="folder")[1]["count"] == 3
    monkeypatch.setattr(container, "MAX_TOTAL_SIZE", 2**26)
    with pytest.raises(UserError, match="expected at most 67108864, and"):
        run_download(tmp_path, packed, source="folder")


def test_a_tar_bomb_is_an_error(tmp_path: Path) -> None:
    zeros = {"zeros.bin": bytes(container.RATIO_EXEMPT_SIZE + 1)}
    packed = write_tar(tmp_path / "bomb.tar.gz", {"a.png": fake_png("a"), **zeros})
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"'pictures' would unpack to more than 67108864 bytes"):
            run_download(tmp_path, packed, source="folder")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [2**30, -1024])
def test_a_header_of_a_tar_cannot_ask_for_much_memory_or_lead_backwards(tmp_path: Path, size: int) -> None:
    name = tarfile.TarInfo("name")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME if size > 0 else tarfile.REGTYPE, size
    header = name.tobuf(tarfile.GNU_FORMAT)
    packed = tmp_path / "hostile.tar"
    packed.write_bytes(header + bytes(4096))
    with pytest.raises(UserError, match="'pictures' is a damaged or truncated tar: create or download it again"):
        run_download(tmp_path, packed, source="folder")


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_an_archive_with_too_many_entries_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    packed = write(tmp_path / "many", {f"{number}.txt": b"text" for number in range(4)})
    monkeypatch.setattr(container, "MAX_ENTRIES", 3)
    with pytest.raises(UserError, match="'pictures' has more than 3 entries: use a smaller archive"):
        run_download(tmp_path, packed, source="folder")


@pytest.mark.parametrize("stated", [99, 2**27])
def test_an_entry_with_a_wrong_size_is_damaged_and_not_inflated_beyond_it(tmp_path: Path, stated: int) -> None:
    packed, size = tmp_path / "wrong-size.zip", 2**26 + 1
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", fake_png("a").ljust(size, b"\0"))
        file.writestr("b.png", fake_png("b"))
        file.writestr("noise.txt", os.urandom(2**20))
    packed.write_bytes(packed.read_bytes().replace(size.to_bytes(4, "little"), stated.to_bytes(4, "little")))
    tracemalloc.start()
    try:
        _, manifest, _ = run_download(tmp_path, packed, source="folder")
        assert [(file["name"], file["kind"]) for file in manifest["left_out"]] == [
            ("a.png", "damaged"),
            ("noise.txt", "not an image"),
        ]
        assert tracemalloc.get_traced_memory()[1] < max(2**22, 3 * stated)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fault", ["encrypted", "uncommon", "large", "damaged"])
def test_an_entry_that_cannot_be_unpacked_is_skipped_and_the_others_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(
            "z.png", fake_png("some content"), zipfile.ZIP_LZMA if fault == "uncommon" else zipfile.ZIP_STORED
        )
        for name in ("a.png", "zz.png"):
            file.writestr(name, fake_png(name))
    content = bytearray(packed.read_bytes())
    if fault == "encrypted":
        content[content.index(b"PK\1\2") + 8] |= 1
    if fault == "damaged":
        content = content.replace(b"some content", b"sane content")
    packed.write_bytes(content)
    if fault == "large":
        monkeypatch.setattr(container, "MAX_FILE_SIZE", len(fake_png("zz.png")))
    result, manifest, _ = run_download(tmp_path, packed, source="folder")
    assert read_zip(result) == {name: fake_png(name) for name in ("a.png", "zz.png")}
    (skipped,) = manifest["left_out"]
    assert skipped["name"] == "z.png"
    reasons = {
        "encrypted": "unreadable: encrypted, make a zip without a password",
        "uncommon": "unreadable: packed in an uncommon way, make a plain zip",
        "large": f"too large: more than {len(fake_png('zz.png'))} bytes",
        "damaged": "damaged: its bytes are not those that were packed",
    }
    assert skipped["reason"] == reasons[fault]


def test_a_damaged_zip_is_an_error(tmp_path: Path) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.png", fake_png("a"))
    packed.write_bytes(packed.read_bytes().replace(b"PK\1\2", b"PK\3\2"))
    with pytest.raises(UserError, match="'pictures' is a damaged zip: create or download it again"):
        run_download(tmp_path, packed, source="folder")


SPOILED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated zip": (lambda packed: packed[:-30], "is a truncated zip, its end is missing: download or copy it again"),
    "last part": (
        lambda packed: packed.replace(b"PK\5\6\0\0", b"PK\5\6\2\0"),
        "is the last of 3 parts of a split zip: join them with `zip -s 0 faces.zip --out whole.zip`, and set folder",
    ),
    "first part": (
        lambda packed: b"PK\7\x08" + packed[:100],
        "is a part of a split zip: join the parts with `zip -s 0",
    ),
    "7z": (lambda packed: b"7z\xbc\xaf\x27\x1c", "is a 7z archive: expected a folder, a zip, a tar"),
    "rar": (
        lambda packed: b"Rar!\x1a\7\1\0",
        "is a RAR archive: expected a folder, a zip, a tar",
    ),
    "text": (lambda packed: b"words", r"is neither a folder nor an archive (text): expected a folder, a zip"),
    "empty": (lambda packed: b"", r"is neither a folder nor an archive (empty file): expected a folder, a zip"),
    "image": (lambda packed: fake_png("a"), "is a single image (PNG): expected a folder"),
    "gzip of another file": (lambda packed: gzip.compress(b"words"), "is a damaged or truncated tar.gz"),
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_file_that_is_no_usable_archive_is_refused_with_what_it_is(tmp_path: Path, spoil: str) -> None:
    change, message = SPOILED[spoil]
    packed = write_zip(tmp_path / "faces.zip", IMAGES)
    packed.write_bytes(change(packed.read_bytes()))
    with pytest.raises(UserError) as caught:
        run_download(tmp_path, packed, source="folder")
    assert str(caught.value).startswith("folder = 'pictures' is ")
    assert message in str(caught.value)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_that_is_cut_anywhere_is_refused(tmp_path: Path, mode: TarMode) -> None:
    content = write_tar(tmp_path / "faces.tar", IMAGES, mode).read_bytes()
    end = len(content) if mode == "w:gz" else content.index(bytes(1024), len(content) - 10240)
    for length in sorted({*range(600, end, 97), end - 1}):
        (tmp_path / "cut.tar").write_bytes(content[: min(length, len(content) - 1)])
        with pytest.raises(UserError, match="is a damaged or truncated tar"):
            archive.open_archive(tmp_path / "cut.tar", "the tar")


def test_an_input_error_is_not_reported_as_a_damaged_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.png", fake_png("a"))

    def fail(self: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(UserError, match=r"cannot be read \(Input/output error\)") as caught:
        list(container.read_container(archive.open_archive(packed, "the zip"), ""))
    assert not isinstance(caught.value, container.DamagedArchiveError)


def test_endless_headers_of_a_tar_are_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 4
    block = header.tobuf(tarfile.GNU_FORMAT) + b"abc\0".ljust(512, b"\0")
    (tmp_path / "faces.tar").write_bytes(block * 3000)
    with pytest.raises(UserError, match=r"damaged|holds no image"):
        run_download(tmp_path, tmp_path / "faces.tar", source="folder")


def test_an_archive_with_one_damaged_image_among_unsupported_ones_is_not_called_damaged(tmp_path: Path) -> None:
    content = fake_png("a" * 50)
    packed = write_zip(tmp_path / "faces.zip", {"a.png": content, "b.psd": b"8BPS" + bytes(50)})
    packed.write_bytes(packed.read_bytes().replace(content, content[:-9] + bytes(9)))
    with pytest.raises(UserError, match="1 × damaged") as caught:
        run_download(tmp_path, packed, source="folder")
    assert not isinstance(caught.value, container.DamagedArchiveError)
