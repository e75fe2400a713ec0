"""Recognise what a file is by its first bytes; its name is not used."""

import struct
from dataclasses import dataclass
from typing import Literal

# The image formats that are read, by Pillow's names. Pillow reads MPO as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
FORMAT_WORDS = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or MPO"
HEAD_SIZE = 512  # bytes of a file that `recognise` needs

BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)
# First bytes of a file -> what it is.
IMAGES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II\x2a\0": "TIFF",
    b"MM\0\x2a": "TIFF",
    b"II\x2b\0": "TIFF",
    b"MM\0\x2b": "TIFF",
}
ARCHIVES = {
    b"PK\3\4": "zip",
    b"PK\5\6": "zip",
    b"PK\7\x08": "part of a split zip",
    b"\x1f\x8b": "gzip file",
    b"7z\xbc\xaf\x27\x1c": "7z archive",
    b"Rar!\x1a\7": "RAR archive",
    b"BZh": "bzip2 file",
    b"\xfd7zXZ\0": "xz file",
    b"\x28\xb5\x2f\xfd": "zstd file",
}
UNSUPPORTED_IMAGES = {
    b"8BPS": "PSD",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"gimp xcf": "XCF",
    b"\0\0\1\0": "ICO",
}
OTHERS = {b"%PDF": "PDF", b"\x1aE\xdf\xa3": "video", b"OggS": "audio or video"}
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
# Bytes that occur in text files: all but most control characters.
TEXT_BYTES = bytes({7, 8, 9, 10, 12, 13, 27} | set(range(0x20, 0x100)) - {0x7F})


Kind = Literal["image", "unsupported image", "archive", "other"]


@dataclass(frozen=True)
class FileType:
    """What a file is: one of the readable image formats, another image format, an archive, or something else."""

    kind: Kind
    name: str


def recognise(head: bytes) -> FileType:
    """Return what a file is; `head` are its first HEAD_SIZE bytes, or all bytes if it has fewer."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileType("image", "WebP")
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADER_SIZES:
        return FileType("image", "BMP")
    if head[4:8] == b"ftyp":
        return _recognise_media(head)
    if head[257:262] == b"ustar":
        return FileType("archive", "tar")
    tables: tuple[tuple[Kind, dict[bytes, str]], ...] = (
        ("image", IMAGES),
        ("archive", ARCHIVES),
        ("unsupported image", UNSUPPORTED_IMAGES),
        ("other", OTHERS),
    )
    for kind, table in tables:
        for signature, name in table.items():
            if head.startswith(signature):
                return FileType(kind, name)
    return _recognise_text(head)


def _recognise_media(head: bytes) -> FileType:
    """Return the type of a file in the ISO base media format; its brands tell AVIF, HEIC and videos apart."""
    (size,) = struct.unpack(">I", head[:4])
    brands = [head[start : start + 4] for start in (8, *range(16, min(size, len(head)), 4))]
    if b"avif" in brands or b"avis" in brands:
        return FileType("image", "AVIF")
    if any(brand in HEIF_BRANDS for brand in brands):
        return FileType("unsupported image", "HEIC")
    return FileType("other", "video")


def _recognise_text(head: bytes) -> FileType:
    if not head:
        return FileType("other", "empty file")
    if head.translate(None, TEXT_BYTES):
        return FileType("other", "unknown content")
    start = head.lower().removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"<!doctype html", b"<html")):
        return FileType("other", "HTML page")
    if b"<svg" in start:
        return FileType("unsupported image", "SVG")
    return FileType("other", "text")
