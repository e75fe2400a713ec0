"""What every source gives: named pictures, packed into one zip with a manifest that says what they are."""

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from omokage.errors import Refused
from omokage.progress import progress

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
LARGEST = 256 * 2**20  # bytes of one picture
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
class Collection:
    """A data set: `pictures` yields (name, the file's bytes), each name once, in the order of the names."""

    name: str
    version: str
    licences: tuple[Licence, ...]
    pictures: Iterable[tuple[str, bytes]]


def is_picture(name: str) -> bool:
    """Tell by its path whether a file counts as a picture: it ends in one of EXTENSIONS and nothing is hidden."""
    parts = PurePosixPath(name).parts
    return name.lower().endswith(EXTENSIONS) and not any(part.startswith((".", "__MACOSX")) for part in parts)


def safe_name(name: str) -> str:
    """Return an untrusted path as a harmless relative one, with / between its parts and in Unicode's NFC."""
    readable = name.encode("utf-8", "replace").decode("utf-8")
    printable = "".join(letter if letter.isprintable() else "_" for letter in unicodedata.normalize("NFC", readable))
    parts = [part.replace(":", "_") for part in printable.replace("\\", "/").split("/")]
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def named(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pair the safe name of each picture among `names` with the name as it was, sorted; equal safe names are numbered.

    Raises Refused for more than MOST pictures.
    """
    taken: dict[str, str] = {}
    for name in sorted(names):
        safe = safe_name(name)
        if not is_picture(safe):
            continue
        path, number = PurePosixPath(safe), 2
        while safe in taken:
            safe, number = str(path.with_name(f"{path.stem}~{number}{path.suffix}")), number + 1
        taken[safe] = name
    if len(taken) > MOST:
        raise Refused(f"{len(taken)} pictures are more than the {MOST} that are taken: give a part of them")
    return sorted(taken.items())


def in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each picture below `folder`, in the order of the names.

    Raises Refused for a picture larger than LARGEST and one that cannot be read.
    """
    found = [Path(root, file).relative_to(folder).as_posix() for root, _, files in os.walk(folder) for file in files]
    for name, original in progress(named(found), "packing pictures", unit="picture"):
        try:
            size = (folder / original).stat().st_size
            if size > LARGEST:
                raise Refused(f"{name} has {size} bytes: expected at most {LARGEST} a picture; take it out")
            content = (folder / original).read_bytes()
        except OSError as error:
            raise Refused(f"{name} cannot be read ({error.strerror}): make it readable or take it out") from error
        yield name, content


def pack(source: str, collection: Collection, archive: Path, manifest: Path) -> dict[str, Any]:
    """Write the zip (stored, no times, sorted) and the JSON manifest; return the manifest.

    Manifest: source, name, version, licences, count, and for each picture its name, sha256 and bytes.
    """
    pictures = []
    with ZipFile(archive, "w", ZIP_STORED) as file:
        for name, content in collection.pictures:
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
    }
    manifest.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return written
