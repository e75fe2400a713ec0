"""Zips and tars of images are read in place, within limits; what cannot be read is named."""

import errno
import gzip
import io
import os
import stat
import tarfile
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.images import fake_png, read_zip, run_download

from omokage.base.errors import UserError
from omokage.data.sources import archive, container
from omokage.data.sources.names import assign_names, decode_names, is_hidden

TarMode = Literal["w", "w:gz"]


def write_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip of these files."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def write_tar(
    path: Path, files: dict[str, bytes], mode: TarMode = "w:gz", members: Iterable[tarfile.TarInfo] = ()
) -> Path:
    """Write a tar of these files, and of `members` without content."""
    with tarfile.open(path, mode) as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
        for member in members:
            file.addfile(member)
    return path


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


def test_of_several_files_of_an_archive_with_one_name_the_last_is_taken(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "twice.tar", "w") as file:
        for content in (fake_png("first"), fake_png("second")):
            member = tarfile.TarInfo("a.png")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    result, manifest, _ = run_download(tmp_path, tmp_path / "twice.tar", source="folder")
    assert read_zip(result) == {"a.png": fake_png("second")}
    assert [(file["name"], file["kind"]) for file in manifest["left_out"]] == [("a~2.png", "duplicate name")]


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


def test_a_file_over_the_maximum_size_is_skipped(tmp_path: Path) -> None:
    packed = tmp_path / "large.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("large.png", fake_png("large").ljust(container.MAX_FILE_SIZE + 1))
    with pytest.raises(UserError, match=r"holds no image \(1 × too large: more than 268435456 bytes\)"):
        run_download(tmp_path, packed, source="folder")


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


def test_a_tar_that_ends_with_a_zip_is_read_as_a_tar(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "inner.zip", {"inner.png": fake_png("inner")}).read_bytes()
    packed = write_tar(tmp_path / "faces.tar", {"a.png": fake_png("a"), "z.zip": inner}, mode="w")
    result, manifest, _ = run_download(tmp_path, packed, source="folder")
    assert read_zip(result) == {"a.png": fake_png("a")}
    assert [(file["name"], file["kind"]) for file in manifest["left_out"]] == [("z.zip", "archive")]


def test_a_cut_name_stays_inside_its_folder_and_visible() -> None:
    for start in ("x../" + "a" * 200, "x/.b" + "a" * 200):
        (path,) = assign_names([(False, f"{start}/{'b' * 816}.png")])
        assert len(path) <= 1024 and not {"", ".", ".."} & {*path.split("/")} and not is_hidden(path)


def test_a_hidden_link_is_hidden(tmp_path: Path) -> None:
    link = tarfile.TarInfo("node_modules/.bin/x")
    link.type, link.linkname = tarfile.SYMTYPE, "../y"
    packed = write_tar(tmp_path / "faces.tar", {"a.png": fake_png("a")}, members=[link])
    _, manifest, _ = run_download(tmp_path, packed, source="folder")
    assert [(file["kind"], file["may_be_image"]) for file in manifest["left_out"]] == [("hidden", False)]


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
