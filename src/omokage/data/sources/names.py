"""Turn untrusted file names, as bytes in any encoding, into safe and distinct relative paths."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

MAX_LENGTH = 1024  # characters: a zip allows 65,535 bytes


def decode_names(names: Sequence[bytes]) -> list[str]:
    """Return the names of the files of one folder or archive as text.

    Zips and old file systems do not say how names are encoded. A name that is valid UTF-8 is taken as UTF-8. All others
    share one encoding: cp932 (Japanese) if all of them are valid and look Japanese, otherwise cp437 (the first PCs).
    """
    others = [name for name in names if not _is_encoded(name, "utf-8")]
    encoding = "cp932" if _look_japanese(others) else "cp437"
    return [name.decode() if _is_encoded(name, "utf-8") else _decode_name(name, encoding) for name in names]


def _decode_name(name: bytes, encoding: str) -> str:
    # In another encoding of two bytes a character, a backslash may be the second byte of one, and no separator.
    single_bytes = "[｡-ﾟ]" if encoding == "cp932" else r"[^\x00-\x7f]"
    return re.sub(rf"(?<={single_bytes})\\", "_", name.decode(encoding))


def is_hidden(name: str) -> bool:
    """Return whether a part of the path is hidden. A title that was cut at its start (...title.jpg) is not."""
    parts = PurePosixPath(name).parts
    return any(part == "__MACOSX" or (part.startswith(".") and not part.startswith("..")) for part in parts)


def sanitise_name(name: str) -> str:
    """Return an untrusted path as a safe relative path, the sanitised name.

    The sanitised name is in Unicode NFC, has / as separator, and cannot lead out of its folder.
    """
    readable = name.encode("utf-8", "replace").decode("utf-8")
    printable = "".join(letter if letter.isprintable() else "_" for letter in unicodedata.normalize("NFC", readable))
    parts = [part.replace(":", "_") for part in printable.replace("\\", "/").split("/")]
    safe = "/".join(part for part in parts if part not in ("", ".", ".."))
    # The last characters, which include the extension. A part that is cut must not become hidden, or "..".
    return safe if len(safe) <= MAX_LENGTH else safe[-MAX_LENGTH:].lstrip("/.")


def assign_names(originals: Sequence[tuple[bool, str]]) -> list[str]:
    """Return a distinct sanitised name for each file, in the given order.

    A file is a pair: whether it is left out anyway, and its name. Equal sanitised names are made different by a number.
    Files that are not left out are served first, in the order of their names.
    """
    names = [""] * len(originals)
    counts: dict[str, int] = {}  # for each sanitised name in use, the number of files with it
    for index in sorted(range(len(originals)), key=originals.__getitem__):
        base = name = sanitise_name(originals[index][1]) or "_"
        path = PurePosixPath(base)
        while name in counts:
            counts[base] += 1
            name = str(path.with_name(f"{path.stem}~{counts[base]}{path.suffix}"))
        counts[name] = 1
        names[index] = name
    return names


def _is_encoded(name: bytes, encoding: str) -> bool:
    try:
        name.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _look_japanese(names: Sequence[bytes]) -> bool:
    """Return whether all names are valid in cp932, and most of their characters outside ASCII look Japanese.

    A single one of one byte, or with a lower-case letter as its second byte, does not: `niño` and `für` in cp437 are
    also valid in cp932.
    """
    if not all(_is_encoded(name, "cp932") for name in names):
        return False
    groups = [group for name in names for group in re.findall(r"[^\x00-\x7f]+", name.decode("cp932"))]
    japanese = sum(len(group) for group in groups if len(group) > 1 or re.search(rb".[^a-z]$", group.encode("cp932")))
    return 2 * japanese > sum(map(len, groups))
