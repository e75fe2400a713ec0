"""dvc.lock as Python sees it: what DVC holds every stage to."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omokage.params import whole
from omokage.pipeline import Stage

NAME = "dvc.lock"


def read(root: Path) -> dict[str, Any]:
    """Return the entries of dvc.lock by stage; none where nothing has run yet."""
    return whole.load(root / NAME)["stages"] if (root / NAME).is_file() else {}


def hashes(entry: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return the MD5 of an entry's `deps` or `outs`, by path."""
    return {item["path"]: item["md5"] for item in entry.get(kind, []) if "md5" in item}


def params(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an entry."""
    return dict(entry.get("params", {}).get("params.yaml", {}))


def tells_of_the_record(root: Path, stage: Stage, entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is of the run that the stage's record is of: the record is an output, and names all."""
    return hashes(entry, "outs").get(stage.record) == md5(root / stage.record)


def md5(path: Path) -> str:
    """Return DVC's hash of a file, or of a folder: that of the JSON list of its files and their hashes, and `.dir`."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    files = sorted((entry for entry in path.rglob("*") if entry.is_file()), key=lambda e: e.relative_to(path).parts)
    listing = [{"md5": md5(entry), "relpath": entry.relative_to(path).as_posix()} for entry in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"
