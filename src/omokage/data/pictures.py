"""What every source gives: named pictures, packed into one zip with a manifest that says what they are."""

import hashlib
import json
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from omokage.errors import Refused
from omokage.progress import progress

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
LARGEST = 256 * 2**20  # bytes of one picture
LONGEST = 1024  # characters of a name
MOST = 2_000_000  # pictures of one data set


@dataclass(frozen=True)
class Licence:
    """Who made something, where it is from, and under what terms it may be used."""

    title: str
    author: str
    url: str
    licence: str
    licence_url: str


@dataclass(frozen=True)
class LeftOut:
    """What stands for the bytes of a file that is not taken: why not."""

    reason: str


Files = Iterable[tuple[str, bytes | LeftOut]]


@dataclass(frozen=True)
class Collection:
    """A data set: `files` yields (name, the file's bytes), each name once, pictures in the order of their names."""

    name: str
    version: str
    licences: tuple[Licence, ...]
    files: Files


def objection(name: str) -> str:
    """Return why a file is no picture by its path; "" if it is: it ends in one of EXTENSIONS and nothing is hidden."""
    path = PurePosixPath(name)
    if any(part.startswith((".", "__MACOSX")) for part in path.parts):
        return "hidden"
    if name.lower().endswith(EXTENSIONS):
        return ""
    if name.lower().endswith(ARCHIVES):
        return "an archive in it is not opened: unpack it"
    return f"not named as a picture: expected one of {' '.join(EXTENSIONS)}"


def safe_name(name: str) -> str:
    """Return an untrusted path as a harmless relative one, with / between its parts and in Unicode's NFC."""
    readable = name.encode("utf-8", "replace").decode("utf-8")
    printable = "".join(letter if letter.isprintable() else "_" for letter in unicodedata.normalize("NFC", readable))
    parts = [part.replace(":", "_") for part in printable.replace("\\", "/").split("/")]
    safe = "/".join(part for part in parts if part not in ("", ".", ".."))
    return safe[-LONGEST:].lstrip("/")  # with the extension; zip holds no more than 65,535 bytes


def named(
    files: Iterable[str], others: Iterable[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, LeftOut]]]:
    """Pair the safe name of each picture among `files` with the name as it was, and that of what is none with why.

    `others` are not taken for the reason given with them. Both lists are sorted; equal safe names are numbered, those
    of files first. Raises Refused for more than MOST pictures.
    """
    pictures: list[tuple[str, str]] = []
    left_out: list[tuple[str, LeftOut]] = []
    taken: dict[str, int] = {}
    for name, reason in [*((name, "") for name in sorted(files)), *sorted(others)]:
        first = safe = safe_name(name) or "_"
        path = PurePosixPath(first)
        while safe in taken:
            taken[first] += 1
            safe = str(path.with_name(f"{path.stem}~{taken[first]}{path.suffix}"))
        taken[safe] = 1
        if why := reason or objection(safe):
            left_out.append((safe, LeftOut(why)))
        else:
            pictures.append((safe, name))
    if len(pictures) > MOST:
        raise Refused(f"{len(pictures)} pictures are more than the {MOST} that are taken: give a part of them")
    return sorted(pictures), sorted(left_out, key=lambda one: one[0])


def listed(folder: Path) -> tuple[list[tuple[str, str]], list[tuple[str, LeftOut]]]:
    """Return the files below `folder` as `named` does, and what is not taken; links to folders are not followed."""
    files: list[str] = []
    others: list[tuple[str, str]] = []

    def cannot(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        others.append((name, f"a folder that cannot be read ({error.strerror})"))

    for root, folders, names in os.walk(folder, onerror=cannot):
        place = Path(root).relative_to(folder)
        files += [(place / name).as_posix() for name in names]
        for name in folders:
            if (Path(root) / name).is_symlink():
                others.append(((place / name).as_posix(), "a link to a folder, which is not followed"))
            elif name.lower().endswith(EXTENSIONS):
                others.append(((place / name).as_posix(), "a folder"))
    return named(files, others)


def in_folder(folder: Path) -> Iterator[tuple[str, bytes | LeftOut]]:
    """Yield what is not taken of the files below `folder`, then the pictures, in the order of the names."""
    pictures, left_out = listed(folder)
    yield from left_out
    for name, original in progress(pictures, "packing pictures", unit="picture"):
        yield name, _content(folder / original)


def _content(path: Path) -> bytes | LeftOut:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return LeftOut("no regular file")
        return too_large(about.st_size) or path.read_bytes()
    except OSError as error:
        return LeftOut(f"cannot be read ({error.strerror})")


def tally(left_out: Iterable[tuple[str, LeftOut]]) -> str:
    """Return how many files are left out for which reason, in brackets; "" for none."""
    counts = Counter(one.reason for _, one in left_out).most_common()
    return f" (left out: {'; '.join(f'{count} × {reason}' for reason, count in counts)})" if counts else ""


def too_large(size: int) -> LeftOut | None:
    """Return why a file of so many bytes is not taken, if so."""
    return LeftOut(f"larger than {LARGEST} bytes, which are taken of a picture at most") if size > LARGEST else None


def pack(source: str, collection: Collection, archive: Path, manifest: Path) -> dict[str, Any]:
    """Write the zip (stored, no times, sorted) and the JSON manifest; return the manifest.

    Manifest: source, name, version, licences, count, for each picture its name, sha256 and bytes, and for each file
    that is left out its name and the reason.
    """
    pictures, left_out = [], []
    with ZipFile(archive, "w", ZIP_STORED) as file:
        for name, content in collection.files:
            if isinstance(content, LeftOut):
                left_out.append({"name": name, "reason": content.reason})
                continue
            entry = ZipInfo(name)  # dated 1980-01-01
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            file.writestr(entry, content)
            pictures.append({"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)})
    written = {
        "source": source,
        "name": collection.name,
        "version": collection.version,
        "licences": [asdict(licence) for licence in collection.licences],
        "count": len(pictures),
        "pictures": pictures,
        "left_out": sorted(left_out, key=lambda one: one["name"]),
    }
    manifest.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return written
