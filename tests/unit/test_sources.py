"""The sources without a network, avatars and folder, and the zip and manifest that they give."""

import errno
import hashlib
import json
import os
import stat
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.images import run_download

from omokage.base.errors import UserError
from omokage.data.sources import archive, collection


def read_zip(path: Path) -> dict[str, bytes]:
    """Return the files in a zip, by name."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_avatars_are_the_same_for_any_number_of_processes(tmp_path: Path) -> None:
    alone, manifest, facts = run_download(tmp_path)
    parallel, *_ = run_download(tmp_path, threads=2)
    assert alone.read_bytes() == parallel.read_bytes()
    assert manifest["count"] == facts["pictures"] == 5
    assert [licence["licence"] for licence in manifest["licences"]] == ["CC BY 4.0", "CC0 1.0"]
    assert manifest["licences"][0]["author"] == "Lisa Wischofsky"
    assert str(tmp_path) not in json.dumps([manifest, facts])


def test_avatars_use_the_styles_in_turn_and_do_not_depend_on_their_count(tmp_path: Path) -> None:
    few, more = read_zip(run_download(tmp_path)[0]), read_zip(run_download(tmp_path, avatar_count=8)[0])
    assert list(few)[:2] == ["000000-adventurer.png", "000001-lorelei.png"]
    assert len(set(more.values())) == 8
    assert few.items() <= more.items()
    assert few.items().isdisjoint(read_zip(run_download(tmp_path, avatar_seed=1)[0]).items())


def test_avatars_have_the_size_and_the_backgrounds(tmp_path: Path) -> None:
    packed, *_ = run_download(tmp_path, avatar_styles=["adventurer"], avatar_count=8)
    with zipfile.ZipFile(packed) as file:
        avatars = [Image.open(file.open(name)).convert("RGB") for name in file.namelist()]
    assert {avatar.size for avatar in avatars} == {(32, 32)}
    assert {avatar.getpixel((0, 0)) for avatar in avatars} == {(0xB6, 0xE3, 0xF4), (0xFF, 0xDF, 0xBF)}


def test_an_unknown_style_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no style adventurous: choose from adventurer,"):
        run_download(tmp_path, avatar_styles=["lorelei", "adventurous"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with three files named as images, and others."""
    folder = tmp_path / "faces"
    for name in (
        "b.jpg",
        "sub/ü.PNG",
        "a.gif",
        "README.md",
        ".hidden.png",
        "__MACOSX/c.png",
        ".git/d.png",
        "e.png.txt",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"the bytes of {name}".encode())
    return folder


def test_a_folder_gives_the_unchanged_bytes_of_its_images(tmp_path: Path, folder: Path) -> None:
    packed, manifest, facts = run_download(tmp_path, folder, source="folder", folder="../some/faces")
    images = read_zip(packed)
    assert list(images) == ["a.gif", "b.jpg", "sub/ü.PNG"]
    assert images["b.jpg"] == b"the bytes of b.jpg"
    assert manifest["name"] == "faces"
    assert manifest["pictures"][1] == {
        "name": "b.jpg",
        "sha256": hashlib.sha256(b"the bytes of b.jpg").hexdigest(),
        "bytes": 18,
    }
    os.utime(folder / "b.jpg", (0, 0))
    again, _, same_facts = run_download(tmp_path, folder, source="folder", folder="../some/faces")
    assert again.read_bytes() == packed.read_bytes()
    (folder / "b.jpg").write_bytes(b"other")
    assert run_download(tmp_path, folder, source="folder")[2]["content"] != facts["content"] == same_facts["content"]


def test_a_zip_gives_the_same_bytes_as_its_folder(tmp_path: Path, folder: Path) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*"), reverse=True):
            file.write(path, path.relative_to(folder))
    from_folder, from_zip = (
        run_download(tmp_path, folder, source="folder")[0],
        run_download(tmp_path, packed, source="folder")[0],
    )
    assert from_folder.read_bytes() == from_zip.read_bytes()


def test_hostile_names_in_a_zip_are_sanitised(tmp_path: Path) -> None:
    packed = tmp_path / "hostile.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for name in ("../../up.png", "/etc/root.png", "C:\\win\\x.png", "up.png", "a\nb.png", "../.secret.png"):
            file.writestr(name, name)
    sanitised, *_ = run_download(tmp_path, packed, source="folder")
    assert read_zip(sanitised) == {
        "C_/win/x.png": b"C:\\win\\x.png",
        "a_b.png": b"a\nb.png",
        "etc/root.png": b"/etc/root.png",
        "up.png": b"../../up.png",
        "up~2.png": b"up.png",
    }


def test_a_file_over_the_maximum_size_is_skipped(tmp_path: Path) -> None:
    packed = tmp_path / "large.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("large.png", bytes(collection.MAX_FILE_SIZE + 1))
    with pytest.raises(UserError, match=r"has no images \(skipped: 1 × larger than the limit of 268435456 bytes"):
        run_download(tmp_path, packed, source="folder")


def test_too_many_images_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "many.zip"
    monkeypatch.setattr(collection, "MAX_IMAGES", 1)
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.png", b"a")
        file.writestr("b.png", b"b")
    with pytest.raises(UserError, match="2 images: expected at most 1"):
        run_download(tmp_path, packed, source="folder")


def test_unusual_names_in_a_zip_are_kept_and_links_are_skipped(tmp_path: Path) -> None:
    packed = tmp_path / "unusual.zip"
    images = {"面影/ü ñ.png": b"1", "a b/c  d.png": b"2", "é" * 125 + "x.png": b"3", "deep/" * 40 + "e.png": b"4"}
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in images.items():
            file.writestr(name, content)
        file.writestr("back\\slash.png", b"5")
        file.writestr(zipfile.ZipInfo(""), b"no name")
        file.writestr("..\\..\\up.png", b"6")
        for mode, name in ((0o120777, "link.png"), (0o020666, "device.png"), (0o010666, "pipe.png")):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, mode << 16
            file.writestr(entry, "/etc/passwd")
    result, manifest, _ = run_download(tmp_path, packed, source="folder")
    assert read_zip(result) == {**images, "back/slash.png": b"5", "up.png": b"6"}
    assert manifest["count"] == 6


def test_a_zip_bomb_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "bomb.zip"
    zeros = bytes(archive.RATIO_EXEMPT_SIZE // 2)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.bmp", zeros)
        file.writestr("b.bmp", zeros)
    assert run_download(tmp_path, packed, source="folder")[1]["count"] == 2
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("c.bmp", b"one more")
    with pytest.raises(UserError, match=r"'pictures' would unpack to 67108872 bytes of images: .* 200 for each byte"):
        run_download(tmp_path, packed, source="folder")
    monkeypatch.setattr(archive, "MAX_RATIO", 2000)
    assert archive.list_archive(packed, "the zip")
    monkeypatch.setattr(archive, "MAX_TOTAL_SIZE", 2**26)
    with pytest.raises(UserError, match="expected at most 67108864, and"):
        archive.list_archive(packed, "the zip")


def test_a_zip_with_too_many_entries_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "many.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for number in range(4):
            file.writestr(f"{number}.txt", b"text")
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    with pytest.raises(UserError, match="'pictures' has 4 entries: expected at most 3"):
        run_download(tmp_path, packed, source="folder")


@pytest.mark.parametrize("stated", [99, 2**27])
def test_an_entry_with_a_wrong_size_is_damaged_and_not_inflated_beyond_it(tmp_path: Path, stated: int) -> None:
    packed, size = tmp_path / "wrong-size.zip", 2**26 + 1
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(size))
        file.writestr("noise.txt", os.urandom(2**20))
    packed.write_bytes(packed.read_bytes().replace(size.to_bytes(4, "little"), stated.to_bytes(4, "little")))
    tracemalloc.start()
    try:
        assert run_download(tmp_path, packed, source="folder")[1]["left_out"][0] == {
            "name": "a.png",
            "reason": "damaged in the zip",
        }
        assert tracemalloc.get_traced_memory()[1] < max(2**22, 3 * stated)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fault", ["encrypted", "uncommon", "large", "damaged"])
def test_an_entry_that_cannot_be_unpacked_is_skipped_and_the_others_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("z.png", b"some content", zipfile.ZIP_LZMA if fault == "uncommon" else zipfile.ZIP_STORED)
        for name in ("a.png", "zz.png"):
            file.writestr(name, name.encode())
    content = bytearray(packed.read_bytes())
    if fault == "encrypted":
        content[content.index(b"PK\1\2") + 8] |= 1
    if fault == "damaged":
        content = content.replace(b"some content", b"sane content")
    packed.write_bytes(content)
    if fault == "large":
        monkeypatch.setattr(collection, "MAX_FILE_SIZE", 11)
    result, manifest, _ = run_download(tmp_path, packed, source="folder")
    assert read_zip(result) == {"a.png": b"a.png", "zz.png": b"zz.png"}
    (skipped,) = manifest["left_out"]
    assert skipped["name"] == "z.png"
    reasons = {"large": "larger than the limit of 11 bytes", "damaged": "damaged in the zip"}
    assert reasons.get(fault, "encrypted, or") in skipped["reason"]


def test_a_source_without_images_is_an_error(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="'pictures' does not exist"):
        run_download(tmp_path, source="folder")
    for name in ("a.gif", "b.jpg", "sub/ü.PNG"):
        (folder / name).unlink()
    with pytest.raises(UserError, match=r"has no images \(skipped: 3 × hidden; 2 × the name must end in one of "):
        run_download(tmp_path, folder, source="folder")
    with pytest.raises(UserError, match="neither a folder nor a zip"):
        run_download(tmp_path, folder / "README.md", source="folder")


def test_a_damaged_zip_is_an_error(tmp_path: Path) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.png", b"some content")
    packed.write_bytes(packed.read_bytes().replace(b"PK\1\2", b"PK\3\2"))
    with pytest.raises(UserError, match="'pictures' is a damaged zip: create or download it again"):
        run_download(tmp_path, packed, source="folder")


def test_the_tracked_files_of_the_default_folder_are_not_taken_for_images() -> None:
    folder = Path(__file__).parents[2] / "pictures"
    assert all(collection.reject_name(name) for name in ("README.md", ".gitignore"))
    assert {path.name for path in folder.iterdir()} >= {"README.md", ".gitignore"}


def test_every_skipped_file_of_a_zip_is_listed_once(tmp_path: Path) -> None:
    packed = tmp_path / "unusual.zip"
    with zipfile.ZipFile(packed, "w") as file, warnings.catch_warnings(action="ignore"):
        for content in ("first", "second"):
            file.writestr("a.png", content)
        for name in ("x\x01", "x\x02"):
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            file.writestr(link, "a.png")
        file.writestr("Ä" * 30_000 + ".png", "long")
        for number in range(3):
            file.writestr(f"{chr(0xE000 + number)}.png", "private")
    result, manifest, _ = run_download(tmp_path, packed, source="folder")
    images = read_zip(result)
    assert images.pop("Ä" * 1020 + ".png") == b"long"
    assert images == {"a.png": b"second"} | dict.fromkeys(("_.png", "_~2.png", "_~3.png"), b"private")
    assert {file["name"]: file["reason"] for file in manifest["left_out"]} == {
        "a~2.png": "another entry of the zip has its name",
        "x_": "a link or device",
        "x_~2": "a link or device",
    }


def test_an_input_error_is_not_reported_as_a_damaged_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.png", b"some content")

    def fail(self: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(UserError, match=r"cannot be read \(Input/output error\)") as caught:
        list(archive.read_archive(packed, archive.list_archive(packed, "the zip"), "the zip"))
    assert not isinstance(caught.value, archive.DamagedArchiveError)


def test_a_folder_that_cannot_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.png").write_bytes(b"a")
    original = os.scandir

    def scandir(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    images, skipped = collection.list_folder(tmp_path)
    assert images == [("a.png", "a.png")]
    assert skipped == [("closed", collection.SkippedFile("a folder that cannot be read (Permission denied)"))]
