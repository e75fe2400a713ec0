"""The sources that need no network, and what they all give: one zip and its manifest."""

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

from omokage.data import archive as zips
from omokage.data import pictures
from omokage.errors import Refused
from omokage.job import Job
from omokage.params.download import Params
from omokage.stages import download

PARAMS: dict[str, Any] = {
    "source": "avatars",
    "avatar_styles": ["adventurer", "lorelei"],
    "avatar_count": 5,
    "avatar_backgrounds": ["b6e3f4", "ffdfbf"],
    "avatar_size": 32,
    "avatar_seed": 0,
    "folder": "pictures",
    "kaggle_dataset": "someone/faces",
    "kaggle_version": 1,
}


def run(tmp_path: Path, given: Path | None = None, threads: int = 1, **changes: object) -> tuple[Path, Any, Any]:
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    job = Job(
        Params(**PARAMS | changes),
        inputs={"remote://checkout/${folder}": given or tmp_path / "absent"},
        outputs={name: out / Path(name).name for name in ("data/pictures.zip", "data/manifest.json")},
        work=out / "work",
        threads=threads,
    )
    download.run(job)
    return out / "pictures.zip", json.loads((out / "manifest.json").read_text(encoding="utf-8")), job.facts


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_avatars_are_the_same_for_any_number_of_processes(tmp_path: Path) -> None:
    one, manifest, facts = run(tmp_path)
    two, *_ = run(tmp_path, threads=2)
    assert one.read_bytes() == two.read_bytes()
    assert manifest["count"] == facts["pictures"] == 5
    assert [licence["licence"] for licence in manifest["licences"]] == ["CC BY 4.0", "CC0 1.0"]
    assert manifest["licences"][0]["author"] == "Lisa Wischofsky"
    assert str(tmp_path) not in json.dumps([manifest, facts])


def test_avatars_are_drawn_in_turn_and_stay_when_more_are_drawn(tmp_path: Path) -> None:
    few, more = contents(run(tmp_path)[0]), contents(run(tmp_path, avatar_count=8)[0])
    assert list(few)[:2] == ["000000-adventurer.png", "000001-lorelei.png"]
    assert len(set(more.values())) == 8
    assert few.items() <= more.items()
    assert few.items().isdisjoint(contents(run(tmp_path, avatar_seed=1)[0]).items())


def test_avatars_have_the_size_and_the_backgrounds(tmp_path: Path) -> None:
    archive, *_ = run(tmp_path, avatar_styles=["adventurer"], avatar_count=8)
    with zipfile.ZipFile(archive) as file:
        avatars = [Image.open(file.open(name)).convert("RGB") for name in file.namelist()]
    assert {avatar.size for avatar in avatars} == {(32, 32)}
    assert {avatar.getpixel((0, 0)) for avatar in avatars} == {(0xB6, 0xE3, 0xF4), (0xFF, 0xDF, 0xBF)}


def test_an_unknown_style_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no adventurous: choose among adventurer,"):
        run(tmp_path, avatar_styles=["lorelei", "adventurous"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
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


def test_a_folder_gives_its_pictures_as_they_are(tmp_path: Path, folder: Path) -> None:
    archive, manifest, facts = run(tmp_path, folder, source="folder", folder="../some/faces")
    found = contents(archive)
    assert list(found) == ["a.gif", "b.jpg", "sub/ü.PNG"]
    assert found["b.jpg"] == b"the bytes of b.jpg"
    assert manifest["name"] == "faces"
    assert manifest["pictures"][1] == {
        "name": "b.jpg",
        "sha256": hashlib.sha256(b"the bytes of b.jpg").hexdigest(),
        "bytes": 18,
    }
    os.utime(folder / "b.jpg", (0, 0))
    again, _, same = run(tmp_path, folder, source="folder", folder="../some/faces")
    assert again.read_bytes() == archive.read_bytes()
    (folder / "b.jpg").write_bytes(b"other")
    assert run(tmp_path, folder, source="folder")[2]["content"] != facts["content"] == same["content"]


def test_a_zip_gives_what_its_folder_gives(tmp_path: Path, folder: Path) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*"), reverse=True):
            file.write(path, path.relative_to(folder))
    from_folder, from_zip = run(tmp_path, folder, source="folder")[0], run(tmp_path, packed, source="folder")[0]
    assert from_folder.read_bytes() == from_zip.read_bytes()


def test_hostile_names_in_a_zip_become_harmless(tmp_path: Path) -> None:
    packed = tmp_path / "hostile.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for name in ("../../up.png", "/etc/root.png", "C:\\win\\x.png", "up.png", "a\nb.png", "../.secret.png"):
            file.writestr(name, name)
    archive, *_ = run(tmp_path, packed, source="folder")
    assert contents(archive) == {
        "C_/win/x.png": b"C:\\win\\x.png",
        "a_b.png": b"a\nb.png",
        "etc/root.png": b"/etc/root.png",
        "up.png": b"../../up.png",
        "up~2.png": b"up.png",
    }


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "bomb.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("large.png", bytes(pictures.LARGEST + 1))
    with pytest.raises(Refused, match=r"holds no picture \(left out: 1 × larger than 268435456 bytes"):
        run(tmp_path, packed, source="folder")
    monkeypatch.setattr(pictures, "MOST", 1)
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.png", b"a")
        file.writestr("b.png", b"b")
    with pytest.raises(Refused, match="2 pictures are more than the 1"):
        run(tmp_path, packed, source="folder")


def test_odd_names_in_a_zip_survive_and_links_are_no_pictures(tmp_path: Path) -> None:
    packed = tmp_path / "odd.zip"
    kept = {"面影/ü ñ.png": b"1", "a b/c  d.png": b"2", "é" * 125 + "x.png": b"3", "deep/" * 40 + "e.png": b"4"}
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in kept.items():
            file.writestr(name, content)
        file.writestr("back\\slash.png", b"5")
        file.writestr(zipfile.ZipInfo(""), b"no name")
        file.writestr("..\\..\\up.png", b"6")
        for mode, name in ((0o120777, "link.png"), (0o020666, "device.png"), (0o010666, "pipe.png")):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, mode << 16
            file.writestr(entry, "/etc/passwd")
    archive, manifest, _ = run(tmp_path, packed, source="folder")
    assert contents(archive) == {**kept, "back/slash.png": b"5", "up.png": b"6"}
    assert manifest["count"] == 6


def test_a_zip_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "bomb.zip"
    plain = bytes(zips.HARMLESS // 2)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.bmp", plain)
        file.writestr("b.bmp", plain)
    assert run(tmp_path, packed, source="folder")[1]["count"] == 2
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("c.bmp", b"one more")
    with pytest.raises(Refused, match=r"'pictures' would unpack to 67108872 bytes of pictures: .* 200 for each byte"):
        run(tmp_path, packed, source="folder")
    monkeypatch.setattr(zips, "RATIO", 2000)
    assert zips.listed(packed, "it")
    monkeypatch.setattr(zips, "WHOLE", 2**26)
    with pytest.raises(Refused, match="expected at most 67108864, and"):
        zips.listed(packed, "it")


def test_a_zip_with_too_many_entries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "many.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for number in range(4):
            file.writestr(f"{number}.txt", b"no picture")
    monkeypatch.setattr(zips, "ENTRIES", 3)
    with pytest.raises(Refused, match="'pictures' has 4 entries: expected at most 3"):
        run(tmp_path, packed, source="folder")


@pytest.mark.parametrize("told", [99, 2**27])
def test_a_zip_that_lies_about_a_size_is_damaged_and_never_inflated_beyond_it(tmp_path: Path, told: int) -> None:
    packed, size = tmp_path / "lie.zip", 2**26 + 1
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(size))
        file.writestr("noise.txt", os.urandom(2**20))
    packed.write_bytes(packed.read_bytes().replace(size.to_bytes(4, "little"), told.to_bytes(4, "little")))
    tracemalloc.start()
    try:
        assert run(tmp_path, packed, source="folder")[1]["left_out"][0] == {
            "name": "a.png",
            "reason": "damaged in the zip",
        }
        assert tracemalloc.get_traced_memory()[1] < max(2**22, 3 * told)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("spoil", ["encrypted", "uncommon", "large", "damaged"])
def test_an_entry_that_cannot_be_unpacked_is_left_out_and_the_others_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("z.png", b"some content", zipfile.ZIP_LZMA if spoil == "uncommon" else zipfile.ZIP_STORED)
        for name in ("a.png", "zz.png"):
            file.writestr(name, name.encode())
    content = bytearray(packed.read_bytes())
    if spoil == "encrypted":
        content[content.index(b"PK\1\2") + 8] |= 1
    if spoil == "damaged":
        content = content.replace(b"some content", b"sane content")
    packed.write_bytes(content)
    if spoil == "large":
        monkeypatch.setattr(pictures, "LARGEST", 11)
    archive, manifest, _ = run(tmp_path, packed, source="folder")
    assert contents(archive) == {"a.png": b"a.png", "zz.png": b"zz.png"}
    (left_out,) = manifest["left_out"]
    assert left_out["name"] == "z.png"
    reasons = {"large": "larger than 11 bytes", "damaged": "damaged in the zip"}
    assert reasons.get(spoil, "encrypted, or") in left_out["reason"]


def test_what_holds_no_pictures_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(Refused, match="'pictures' does not exist"):
        run(tmp_path, source="folder")
    for name in ("a.gif", "b.jpg", "sub/ü.PNG"):
        (folder / name).unlink()
    with pytest.raises(Refused, match=r"holds no picture \(left out: 3 × hidden; 2 × not named as a picture: "):
        run(tmp_path, folder, source="folder")
    with pytest.raises(Refused, match="neither a folder nor a zip"):
        run(tmp_path, folder / "README.md", source="folder")


def test_a_broken_zip_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.png", b"some content")
    packed.write_bytes(packed.read_bytes().replace(b"PK\1\2", b"PK\3\2"))
    with pytest.raises(Refused, match="'pictures' is a damaged zip: make or download it again"):
        run(tmp_path, packed, source="folder")


def test_the_readme_of_the_default_folder_is_no_picture(tmp_path: Path) -> None:
    tracked = Path(__file__).parents[1] / "pictures"
    assert not any(not pictures.objection(name) for name in ("README.md", ".gitignore"))
    assert {path.name for path in tracked.iterdir()} >= {"README.md", ".gitignore"}


def test_whatever_is_not_taken_of_a_zip_is_named_once(tmp_path: Path) -> None:
    packed = tmp_path / "odd.zip"
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
    archive, manifest, _ = run(tmp_path, packed, source="folder")
    found = contents(archive)
    assert found.pop("Ä" * 1020 + ".png") == b"long"
    assert found == {"a.png": b"second"} | dict.fromkeys(("_.png", "_~2.png", "_~3.png"), b"private")
    assert {one["name"]: one["reason"] for one in manifest["left_out"]} == {
        "a~2.png": "another entry of the zip has its name",
        "x_": "a link or device",
        "x_~2": "a link or device",
    }


def test_a_zip_that_cannot_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.png", b"some content")

    def fail(self: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(Refused, match=r"cannot be read \(Input/output error\)") as refused:
        list(zips.read(packed, zips.listed(packed, "the zip"), "the zip"))
    assert not isinstance(refused.value, zips.Damaged)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.png").write_bytes(b"a")
    real = os.scandir

    def scandir(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    taken, left_out = pictures.listed(tmp_path)
    assert taken == [("a.png", "a.png")]
    assert left_out == [("closed", pictures.LeftOut("a folder that cannot be read (Permission denied)"))]
