"""The class Collection, which every source returns, and how a collection is packed into one zip with a manifest."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from omokage.base.files import hash_bytes, partial_path


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
    """Stands in a collection for the bytes of a file that is not packed.

    `kind` is the class of reasons under which the file is counted:

    - hidden, not an image, archive: the file is not meant as an image
    - link, unreadable, duplicate name, too large, damaged: its content is not known, or not all of it
    - unsupported format: an image in a format that is not read
    - broken: its name ends as that of an image, and its content is something else

    All but the first group count as images that are dropped.
    """

    kind: str
    detail: str = ""

    @property
    def may_be_image(self) -> bool:
        """Whether the file counts as an image."""
        return self.kind not in ("hidden", "not an image", "archive")

    @property
    def reason(self) -> str:
        """The kind and the details in words."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


Files = Iterable[tuple[str, bytes | SkippedFile]]


@dataclass(frozen=True)
class Collection:
    """A data set.

    `files` yields (name, bytes) for each image, and (name, SkippedFile) for each file that is left out of the data set.
    No name occurs twice.
    """

    name: str
    version: str
    licences: tuple[Licence, ...]
    files: Files


def summarise_skipped(counts: Counter[str]) -> str:
    """Return the numbers of skipped files by reason as text, the most frequent first."""
    return "; ".join(f"{count} × {reason}" for reason, count in counts.most_common())


def report_skipped(manifest: dict[str, Any]) -> None:
    """Print one line that counts the skipped files by reason, if there are any. `manifest` is that of pack_images."""
    if skipped := manifest["left_out"]:
        reasons = summarise_skipped(Counter(file["reason"] for file in skipped))
        print(
            f"omokage: download: {len(skipped)} of {manifest['count'] + len(skipped)} files are not used ({reasons})",
            file=sys.stderr,
        )


def pack_images(source: str, collection: Collection, archive: Path, manifest: Path) -> dict[str, Any]:
    """Write the images to the zip `archive` and a JSON file to `manifest`; return the content of the manifest.

    The zip is sorted by name and not compressed, and has no file times, so its bytes depend on the images alone. The
    manifest describes the data set: source, name, version, licences and number of images. It lists the name, sha256 and
    size in bytes of each image, and the name of each skipped file with its kind, its reason and whether it may be an
    image (see SkippedFile).
    """
    images: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    with ZipFile(archive, "w", ZIP_STORED) as file:
        for name, content in collection.files:
            if isinstance(content, SkippedFile):
                skipped.append(_describe_skipped(name, content))
                continue
            file.writestr(_describe_entry(name), content)
            images.append({"name": name, "sha256": hash_bytes(content), "bytes": len(content)})
    names = [image["name"] for image in images]
    if names != sorted(names):
        _sort_entries(archive)
    listing = {
        "source": source,
        "name": collection.name,
        "version": collection.version,
        "licences": [asdict(licence) for licence in collection.licences],
        "count": len(images),
        "pictures": sorted(images, key=lambda entry: entry["name"]),
        "left_out": sorted(skipped, key=lambda entry: entry["name"]),
    }
    manifest.write_text(json.dumps(listing, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return listing


def _describe_skipped(name: str, skipped: SkippedFile) -> dict[str, Any]:
    return {"name": name, "kind": skipped.kind, "reason": skipped.reason, "may_be_image": skipped.may_be_image}


def _describe_entry(name: str) -> ZipInfo:
    entry = ZipInfo(name)  # dated 1980-01-01
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    return entry


def _sort_entries(archive: Path) -> None:
    """Write the zip again with its entries sorted by name. A compressed tar can only be read in its own order."""
    copy = partial_path(archive)
    with ZipFile(archive) as unsorted, ZipFile(copy, "w", ZIP_STORED) as file:
        for name in sorted(unsorted.namelist()):
            file.writestr(_describe_entry(name), unsorted.read(name))
    copy.replace(archive)
