"""The class Collection, which every source returns, and how a collection is packed into one zip with a manifest."""

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

from omokage.base.errors import UserError
from omokage.base.files import hash_bytes
from omokage.base.progress import show_progress

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
ARCHIVE_EXTENSIONS = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
MAX_FILE_SIZE = 256 * 2**20  # bytes
MAX_NAME_LENGTH = 1024  # characters: a zip allows 65,535 bytes
MAX_IMAGES = 2_000_000  # in one data set


@dataclass(frozen=True)
class Licence:
    """The title, author and source of a work, and the licence under which it may be used."""

    title: str
    author: str
    url: str
    licence: str
    licence_url: str


@dataclass(frozen=True)
class SkippedFile:
    """Stands in a collection for the bytes of a file that is not packed, and gives the reason."""

    reason: str


Files = Iterable[tuple[str, bytes | SkippedFile]]


@dataclass(frozen=True)
class Collection:
    """A data set.

    `files` yields (name, bytes) for each image, sorted by name, and (name, SkippedFile) for each file that is left
    out of the data set. No name occurs twice.
    """

    name: str
    version: str
    licences: tuple[Licence, ...]
    files: Files


def reject_name(name: str) -> str:
    """Return why the file with the path `name` is skipped, or "" if it is not.

    A file is skipped if a part of its path is hidden, or if the name has none of EXTENSIONS.
    """
    path = PurePosixPath(name)
    if any(part.startswith((".", "__MACOSX")) for part in path.parts):
        return "hidden"
    if name.lower().endswith(EXTENSIONS):
        return ""
    if name.lower().endswith(ARCHIVE_EXTENSIONS):
        return "an archive in it is not opened: unpack it"
    return f"the name must end in one of {' '.join(EXTENSIONS)}"


def reject_size(size: int) -> SkippedFile | None:
    """Return why a file of `size` bytes is skipped, or None if it is not."""
    if size <= MAX_FILE_SIZE:
        return None
    return SkippedFile(f"larger than the limit of {MAX_FILE_SIZE} bytes")


def sanitise_name(name: str) -> str:
    """Return an untrusted path as a safe relative path, the sanitised name.

    The sanitised name is in Unicode NFC, has / as separator, and cannot lead out of its folder.
    """
    readable = name.encode("utf-8", "replace").decode("utf-8")
    printable = "".join(letter if letter.isprintable() else "_" for letter in unicodedata.normalize("NFC", readable))
    parts = [part.replace(":", "_") for part in printable.replace("\\", "/").split("/")]
    safe = "/".join(part for part in parts if part not in ("", ".", ".."))
    return safe[-MAX_NAME_LENGTH:].lstrip("/")  # the last characters, which include the extension


def assign_names(
    files: Iterable[str], rejected: Iterable[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, SkippedFile]]]:
    """Return the images as (sanitised name, original name), and the skipped files; both are sorted by name.

    Skipped files are pairs (sanitised name, SkippedFile). `files` are names of files that may be images. `rejected` are
    pairs (name, reason) of further files, which are all skipped. Equal sanitised names are made different by a number;
    names from `files` are assigned before those from `rejected`. Raises UserError for more than MAX_IMAGES images.
    """
    images: list[tuple[str, str]] = []
    skipped: list[tuple[str, SkippedFile]] = []
    counts: dict[str, int] = {}  # for each sanitised name in use, the number of files with it
    for original, rejection in [*((name, "") for name in sorted(files)), *sorted(rejected)]:
        base = name = sanitise_name(original) or "_"
        path = PurePosixPath(base)
        while name in counts:
            counts[base] += 1
            name = str(path.with_name(f"{path.stem}~{counts[base]}{path.suffix}"))
        counts[name] = 1
        if reason := rejection or reject_name(name):
            skipped.append((name, SkippedFile(reason)))
        else:
            images.append((name, original))
    if len(images) > MAX_IMAGES:
        raise UserError(f"{len(images)} images: expected at most {MAX_IMAGES}; remove some")
    return sorted(images), sorted(skipped, key=lambda entry: entry[0])


def list_folder(folder: Path) -> tuple[list[tuple[str, str]], list[tuple[str, SkippedFile]]]:
    """Return the images and the skipped files below `folder`, in the form that `assign_names` returns.

    Links to folders are skipped.
    """
    files: list[str] = []
    rejected: list[tuple[str, str]] = []

    def reject_unreadable(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        rejected.append((name, f"a folder that cannot be read ({error.strerror})"))

    for root, folders, names in os.walk(folder, onerror=reject_unreadable):
        subfolder = Path(root).relative_to(folder)
        files += [(subfolder / name).as_posix() for name in names]
        for name in folders:
            if (Path(root) / name).is_symlink():
                rejected.append(((subfolder / name).as_posix(), "a link to a folder, which is not followed"))
            elif name.lower().endswith(EXTENSIONS):
                rejected.append(((subfolder / name).as_posix(), "a folder"))
    return assign_names(files, rejected)


def read_folder(folder: Path) -> Iterator[tuple[str, bytes | SkippedFile]]:
    """Yield (name, SkippedFile) for skipped files below `folder`, then (name, bytes) for images, sorted by name."""
    images, skipped = list_folder(folder)
    yield from skipped
    for name, original in show_progress(images, "packing images", unit="image"):
        yield name, _read_file(folder / original)


def _read_file(path: Path) -> bytes | SkippedFile:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return SkippedFile("no regular file")
        return reject_size(status.st_size) or path.read_bytes()
    except OSError as error:
        return SkippedFile(f"cannot be read ({error.strerror})")


def summarise_skipped(skipped: Iterable[tuple[str, SkippedFile]]) -> str:
    """Return text in brackets with the number of skipped files for each reason; "" if no file is skipped."""
    counts = Counter(file.reason for _, file in skipped).most_common()
    return f" (skipped: {'; '.join(f'{count} × {reason}' for reason, count in counts)})" if counts else ""


def pack_images(source: str, collection: Collection, archive: Path, manifest: Path) -> dict[str, Any]:
    """Write the images to the zip `archive` and a JSON file to `manifest`; return the content of the manifest.

    The zip is not compressed and has no file times, so its bytes depend on the images alone. The manifest describes the
    data set: source, name, version, licences and number of images. It lists the name, sha256 and size in bytes of each
    image, and the name of each skipped file with the reason.
    """
    images, skipped = [], []
    with ZipFile(archive, "w", ZIP_STORED) as file:
        for name, content in collection.files:
            if isinstance(content, SkippedFile):
                skipped.append({"name": name, "reason": content.reason})
                continue
            entry = ZipInfo(name)  # dated 1980-01-01
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            file.writestr(entry, content)
            images.append({"name": name, "sha256": hash_bytes(content), "bytes": len(content)})
    listing = {
        "source": source,
        "name": collection.name,
        "version": collection.version,
        "licences": [asdict(licence) for licence in collection.licences],
        "count": len(images),
        "pictures": images,
        "left_out": sorted(skipped, key=lambda entry: entry["name"]),
    }
    manifest.write_text(json.dumps(listing, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return listing
