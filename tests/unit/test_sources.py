"""The sources without a network, avatars and folder, and the zip and manifest that they give."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.images import encode_image, fake_png, random_image, read_zip, run_download

from omokage.base.errors import UserError
from omokage.data.images.formats import FileType, recognise
from omokage.data.sources import container
from omokage.data.sources.collection import SkippedFile
from omokage.data.sources.directory import open_folder
from omokage.data.sources.folder_names import check_names


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
    """Return a folder with three images, and other files."""
    folder = tmp_path / "faces"
    for name in ("b.jpg", "sub/ü.PNG", "a", ".hidden.png", "__MACOSX/c.png", ".git/d.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(fake_png(name))
    for name in ("README.md", "e.png.txt"):
        (folder / name).write_text("words")
    return folder


def test_a_folder_gives_the_unchanged_bytes_of_its_images(tmp_path: Path, folder: Path) -> None:
    packed, manifest, facts = run_download(tmp_path, folder, source="folder", folder="../some/faces")
    images = read_zip(packed)
    assert list(images) == ["a", "b.jpg", "sub/ü.PNG"]
    assert images["b.jpg"] == fake_png("b.jpg")
    assert manifest["name"] == "faces"
    assert manifest["pictures"][1] == {
        "name": "b.jpg",
        "sha256": hashlib.sha256(fake_png("b.jpg")).hexdigest(),
        "bytes": len(fake_png("b.jpg")),
    }
    hidden = {".git/d.png", ".hidden.png", "__MACOSX/c.png"}
    assert manifest["left_out"] == [
        {"name": name, "kind": "hidden", "reason": "hidden", "may_be_image": False}
        if name in hidden
        else {"name": name, "kind": "not an image", "reason": "not an image: text", "may_be_image": False}
        for name in sorted({*hidden, "README.md", "e.png.txt"})
    ]
    os.utime(folder / "b.jpg", (0, 0))
    again, _, same_facts = run_download(tmp_path, folder, source="folder", folder="../some/faces")
    assert again.read_bytes() == packed.read_bytes()
    (folder / "b.jpg").write_bytes(fake_png("other"))
    assert run_download(tmp_path, folder, source="folder")[2]["content"] != facts["content"] == same_facts["content"]


# Name of the file, its bytes, and the kind and the reason that it is skipped, or "" for an image.
FILES: list[tuple[str, bytes, str, str]] = [
    *((f"{format}.jpg_large", encode_image(random_image(1), format), "", "") for format in ("JPEG", "PNG", "WEBP")),
    *((f"{format}.txt", encode_image(random_image(1), format), "", "") for format in ("BMP", "GIF", "TIFF")),
    *((format, encode_image(random_image(1), format), "", "") for format in ("AVIF", "MPO")),
    ("...the end of a title.jpg", fake_png("title"), "", ""),
    ("words", b"BMW", "not an image", "text"),
    ("nothing", b"", "not an image", "empty file"),
    ("nothing.png", b"", "broken", "empty file instead of an image"),
    ("page.jpg", b"\n<!DOCTYPE html><html>", "broken", "HTML page instead of an image"),
    ("page.html", b"<html>", "not an image", "HTML page"),
    ("drawing", b"<?xml version='1.0'?><svg/>", "unsupported format", "SVG, convert it to PNG or JPEG"),
    ("photo.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported format", "HEIC, convert it to PNG or JPEG"),
    ("film.gif", b"\0\0\0\x18ftypmp42\0\0\0\0mp41isom", "broken", "video instead of an image"),
    ("layers", b"8BPS\0\1", "unsupported format", "PSD, convert it to PNG or JPEG"),
    ("more.bin", b"PK\3\4" + bytes(30), "archive", "zip inside the data set is not opened, unpack it"),
    ("more.tgz", b"\x1f\x8b", "archive", "gzip file inside the data set is not opened, unpack it"),
    ("Thumbs.db", b"\xd0\xcf\x11\xe0\0", "not an image", "unknown content"),
]


def test_images_are_recognised_by_content_and_every_other_file_is_named_for_what_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mixed").mkdir()
    for name, content, *_ in FILES:
        (tmp_path / "mixed" / name).write_bytes(content)
    _, manifest, _ = run_download(tmp_path, tmp_path / "mixed", source="folder")
    images = sum(not kind for *_, kind, _ in FILES)
    assert f"download: {len(FILES) - images} of {len(FILES)} files are not used (1 ×" in capfd.readouterr().err
    skipped = {file["name"]: (file["kind"], file["reason"]) for file in manifest["left_out"]}
    assert skipped == {name: (kind, f"{kind}: {detail}") for name, _, kind, detail in FILES if kind}
    assert [file["name"] for file in manifest["pictures"]] == sorted(name for name, _, kind, _ in FILES if not kind)


def test_the_first_bytes_tell_avif_from_heic_and_bmp_from_words() -> None:
    assert recognise(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == FileType("image", "AVIF")
    assert recognise(b"\0\0\0\x14ftypmif1\0\0\0\0mif1avif").name == "HEIC"  # the box ends before that brand
    assert recognise(b"BM" + bytes(12) + b"\x28\0\0\0").name == "BMP"
    assert recognise(b"BM" + bytes(12) + b"\x29\0\0\0").kind == "other"


def test_a_source_without_images_is_an_error(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="'pictures' does not exist: expected a folder, a zip, a tar"):
        run_download(tmp_path, source="folder")
    for name in ("a", "b.jpg", "sub/ü.PNG"):
        (folder / name).unlink()
    with pytest.raises(UserError, match=r"holds no image \(3 × hidden; 2 × not an image: text\): add some, .* AVIF"):
        run_download(tmp_path, folder, source="folder")


def test_names_that_are_not_utf8_are_named_before_dvc_reads_the_folder(tmp_path: Path, folder: Path) -> None:
    check = [sys.executable, "-m", "omokage.cli.folder_check"]
    (tmp_path / "params.yaml").write_text("folder: faces\n")
    assert subprocess.run(check, cwd=tmp_path, check=False).returncode == 0
    (folder / "sub" / os.fsdecode("表.png".encode("cp932"))).write_bytes(fake_png("cover"))
    with pytest.raises(UserError) as caught:
        check_names(folder, "faces")
    message = str(caught.value)
    assert message.startswith(
        r"folder = 'faces' has names that are not UTF-8 (1, the first is sub/\x95\.png), at which DVC stops: pack the"
    )
    assert message.endswith("or rename the files (for Japanese names: `convmv -r -f cp932 -t utf-8 --notest faces`)")
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"omokage: {message}\n")
    # Where DVC does not read the folder, as under Snakemake alone, the names are decoded.
    assert "sub/表.png" in dict(container.read_container(open_folder(folder, "the folder"), ""))


def test_too_many_images_are_an_error(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_IMAGES", 2)
    with pytest.raises(UserError, match="holds more than 2 images: remove some"):
        run_download(tmp_path, folder, source="folder")


def test_the_tracked_files_of_the_default_folder_are_not_taken_for_images(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("README.md", ".gitignore"):
        (folder / name).write_bytes((Path(__file__).parents[2] / "pictures" / name).read_bytes())
    with pytest.raises(UserError, match=r"holds no image \(1 × \w+.*; 1 × \w+"):
        run_download(tmp_path, folder, source="folder")


def test_a_folder_that_cannot_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.png").write_bytes(fake_png("a"))
    original = os.scandir

    def scandir(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    files = dict(container.read_container(open_folder(tmp_path, "the folder"), ""))
    reason = "a folder (Permission denied)"
    assert files == {"a.png": fake_png("a"), "closed": SkippedFile("unreadable", reason)}
