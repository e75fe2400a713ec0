"""Names in archives are decoded, distinct and safe."""

import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import TarMode, write_tar, write_zip
from support.images import fake_png, read_zip, run_download

from omokage.data.sources.names import assign_names, decode_names, is_hidden


def make_special_members() -> list[tarfile.TarInfo]:
    """Return members of a tar that are no regular files."""
    members = []
    types = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE, "disk": tarfile.BLKTYPE}
    for name, kind in types.items():
        member = tarfile.TarInfo(f"{name}.png")
        member.type, member.linkname = kind, "/etc/passwd"
        members.append(member)
    folder = tarfile.TarInfo("folder.png")
    folder.type = tarfile.DIRTYPE
    return [*members, folder]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_and_hostile_names_in_a_tar_cannot_lead_out_of_it(tmp_path: Path, mode: TarMode) -> None:
    names = {"../../up.png": "up.png", "/etc/root.png": "etc/root.png", "long/" * 60 + "x.png": "long/" * 60 + "x.png"}
    files = {name: fake_png(name) for name in names}
    packed = write_tar(tmp_path / "hostile.tar", files, mode, make_special_members())
    result, manifest, _ = run_download(tmp_path, packed, source="folder")
    assert read_zip(result) == {names[name]: content for name, content in files.items()}
    assert {file["name"]: file["kind"] for file in manifest["left_out"]} == dict.fromkeys(
        ("link.png", "hard.png", "pipe.png", "disk.png"), "link"
    )


NAMES = {
    "cp932": ["表.png", "ソフト/十.png", "能\\予.png", "ポスター.png", "ｶﾅ.png"],
    "cp437": ["für.png", "Müller\\é.png", "niño.png", "blåbær.png", "Übung.png"],
    "utf-8": ["面影.png", "für.png", "ä\\b.png"],
}


def write_zip_in_encoding(path: Path, names: list[str], encoding: str) -> Path:
    """Write a zip whose names are in this encoding and not marked as UTF-8."""
    placeholders = {f"{number:03d}".ljust(len(name.encode(encoding)), "x"): name for number, name in enumerate(names)}
    write_zip(path, {placeholder: fake_png(name) for placeholder, name in placeholders.items()})
    content = path.read_bytes()
    for placeholder, name in placeholders.items():
        content = content.replace(placeholder.encode(), name.encode(encoding))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", NAMES)
def test_names_in_a_zip_are_decoded(tmp_path: Path, encoding: str) -> None:
    packed = write_zip_in_encoding(tmp_path / "names.zip", NAMES[encoding], encoding)
    result, *_ = run_download(tmp_path, packed, source="folder")
    assert read_zip(result) == {name.replace("\\", "/"): fake_png(name) for name in NAMES[encoding]}


@given(
    names=st.lists(st.one_of(st.binary(max_size=12), st.text("./\\~:ソa2\n", max_size=8).map(str.encode)), max_size=8)
)
def test_any_names_become_distinct_and_safe(names: list[bytes]) -> None:
    paths = assign_names([(False, name) for name in decode_names(names)])
    assert len({*paths}) == len(names)
    for path in paths:
        assert path.isprintable() and not path.startswith("/") and "\\" not in path and ":" not in path
        assert not {"", ".", ".."} & {*path.split("/")}


def test_a_backslash_that_may_be_half_a_character_does_not_cut_a_name() -> None:
    assert decode_names(["功.png".encode("big5")]) == ["Ñ_.png"]
    assert decode_names([b"caf\x82\\a.png", "ソ".encode()]) == ["café_a.png", "ソ"]


def test_hostile_names_in_a_zip_are_sanitised(tmp_path: Path) -> None:
    packed = tmp_path / "hostile.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for name in ("../../up.png", "/etc/root.png", "C:\\win\\x.png", "up.png", "a\nb.png", "../.secret.png"):
            file.writestr(name, fake_png(name))
    sanitised, *_ = run_download(tmp_path, packed, source="folder")
    assert read_zip(sanitised) == {
        "C_/win/x.png": fake_png("C:\\win\\x.png"),
        "a_b.png": fake_png("a\nb.png"),
        "etc/root.png": fake_png("/etc/root.png"),
        "up.png": fake_png("../../up.png"),
        "up~2.png": fake_png("up.png"),
    }


def test_unusual_names_in_a_zip_are_kept_and_links_are_skipped(tmp_path: Path) -> None:
    packed = tmp_path / "unusual.zip"
    names = ("面影/ü ñ.png", "a b/c  d.png", "é" * 125 + "x.png", "deep/" * 40 + "e.png")
    images = {name: fake_png(name) for name in names}
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in images.items():
            file.writestr(name, content)
        file.writestr("back\\slash.png", fake_png("5"))
        file.writestr(zipfile.ZipInfo(""), b"no name")
        file.writestr("..\\..\\up.png", fake_png("6"))
        for mode, name in ((0o120777, "link.png"), (0o020666, "device.png"), (0o010666, "pipe.png")):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, mode << 16
            file.writestr(entry, "/etc/passwd")
    result, manifest, _ = run_download(tmp_path, packed, source="folder")
    assert read_zip(result) == {**images, "back/slash.png": fake_png("5"), "up.png": fake_png("6")}
    assert manifest["count"] == 6


def test_a_cut_name_stays_inside_its_folder_and_visible() -> None:
    for start in ("x../" + "a" * 200, "x/.b" + "a" * 200):
        (path,) = assign_names([(False, f"{start}/{'b' * 816}.png")])
        assert len(path) <= 1024 and not {"", ".", ".."} & {*path.split("/")} and not is_hidden(path)
