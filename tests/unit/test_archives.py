"""Archives give the same images as folders, whatever lies in them."""

import io
import stat
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Literal

import pytest
from support.archives import TarMode, write_tar, write_zip
from support.images import fake_png, read_zip, run_download

IMAGES = {name: fake_png(name) for name in ("b.jpg", "sub/ü.PNG", "a")}


OTHERS = {".hidden.png": fake_png("hidden"), "README.md": b"words"}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("kind", ["zip", "w", "w:gz"])
@pytest.mark.parametrize("name", ["faces.zip", "faces.tgz", "faces"])
def test_an_archive_gives_the_same_bytes_as_its_folder(
    tmp_path: Path, kind: Literal["zip"] | TarMode, compression: int, name: str
) -> None:
    files = IMAGES | OTHERS
    for path, content in files.items():
        (tmp_path / "folder" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / path).write_bytes(content)
    if kind == "zip":
        packed = write_zip(tmp_path / name, files, compression)
    else:
        packed = write_tar(tmp_path / name, files, kind)
    from_folder, *expected = run_download(tmp_path, tmp_path / "folder", source="folder")
    from_archive, *same = run_download(tmp_path, packed, source="folder")
    assert read_zip(from_archive) == IMAGES
    assert from_archive.read_bytes() == from_folder.read_bytes()
    assert same == expected


def test_of_several_files_of_an_archive_with_one_name_the_last_is_taken(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "twice.tar", "w") as file:
        for content in (fake_png("first"), fake_png("second")):
            member = tarfile.TarInfo("a.png")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    result, manifest, _ = run_download(tmp_path, tmp_path / "twice.tar", source="folder")
    assert read_zip(result) == {"a.png": fake_png("second")}
    assert [(file["name"], file["kind"]) for file in manifest["left_out"]] == [("a~2.png", "duplicate name")]


def test_a_zip_after_a_program_that_unpacks_it_is_read(tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "faces.exe", IMAGES)
    packed.write_bytes(b"MZ\0\0" * 100 + packed.read_bytes())
    assert read_zip(run_download(tmp_path, packed, source="folder")[0]) == IMAGES


def test_every_skipped_file_of_a_zip_is_listed_once(tmp_path: Path) -> None:
    packed = tmp_path / "unusual.zip"
    with zipfile.ZipFile(packed, "w") as file, warnings.catch_warnings(action="ignore"):
        for content in ("first", "second"):
            file.writestr("a.png", fake_png(content))
        for name in ("x\x01", "x\x02"):
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            file.writestr(link, "a.png")
        file.writestr("Ä" * 30_000 + ".png", fake_png("long"))
        for number in range(3):
            file.writestr(f"{chr(0xE000 + number)}.png", fake_png("private"))
    result, manifest, _ = run_download(tmp_path, packed, source="folder")
    images = read_zip(result)
    assert images.pop("Ä" * 1020 + ".png") == fake_png("long")
    assert images == {"a.png": fake_png("second")} | dict.fromkeys(("_.png", "_~2.png", "_~3.png"), fake_png("private"))
    assert {file["name"]: file["kind"] for file in manifest["left_out"]} == {
        "a~2.png": "duplicate name",
        "x_": "link",
        "x_~2": "link",
    }


def test_a_tar_that_ends_with_a_zip_is_read_as_a_tar(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "inner.zip", {"inner.png": fake_png("inner")}).read_bytes()
    packed = write_tar(tmp_path / "faces.tar", {"a.png": fake_png("a"), "z.zip": inner}, mode="w")
    result, manifest, _ = run_download(tmp_path, packed, source="folder")
    assert read_zip(result) == {"a.png": fake_png("a")}
    assert [(file["name"], file["kind"]) for file in manifest["left_out"]] == [("z.zip", "archive")]


def test_a_hidden_link_is_hidden(tmp_path: Path) -> None:
    link = tarfile.TarInfo("node_modules/.bin/x")
    link.type, link.linkname = tarfile.SYMTYPE, "../y"
    packed = write_tar(tmp_path / "faces.tar", {"a.png": fake_png("a")}, members=[link])
    _, manifest, _ = run_download(tmp_path, packed, source="folder")
    assert [(file["kind"], file["may_be_image"]) for file in manifest["left_out"]] == [("hidden", False)]
