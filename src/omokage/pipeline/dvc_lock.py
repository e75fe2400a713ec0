"""Read dvc.lock: the parameters and hashes of every stage's last run, as DVC recorded them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omokage.config.yaml_file import load_yaml
from omokage.pipeline.code import list_code
from omokage.pipeline.graph import CODE, Stage

NAME = "dvc.lock"


def read_lock(root: Path) -> dict[str, Any]:
    """Return the entry of each stage in dvc.lock, by stage name; empty if there is no dvc.lock yet."""
    return load_yaml(root / NAME)["stages"] if (root / NAME).is_file() else {}


def get_hashes(entry: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return the MD5s, by path, that an entry of dvc.lock lists under `kind`, which is "deps" or "outs"."""
    return {item["path"]: item["md5"] for item in entry.get(kind, []) if "md5" in item}


def get_params(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that an entry of dvc.lock lists."""
    return dict(entry.get("params", {}).get("params.yaml", {}))


def has_same_run(root: Path, stage: Stage, entry: Mapping[str, Any]) -> bool:
    """Return whether an entry of dvc.lock and the stage's run record describe the same run.

    The run record is an output of the stage, so the entry lists its MD5.
    """
    return get_hashes(entry, "outs").get(stage.record) == hash_md5(root / stage.record)


def hash_dependency(root: Path, dep: str, path: Path) -> str:
    """Return DVC's hash of the dependency `dep`, which lies at `path`.

    In a folder of code, files that `.dvcignore` hides are left out.
    """
    files = list_code(root, dep) if dep.startswith(CODE) and path.is_dir() else None
    return hash_md5(path, files)


def hash_md5(path: Path, files: list[Path] | None = None) -> str:
    """Return DVC's hash of a file, or of a folder: the MD5 of its JSON listing (paths and MD5s), with `.dir` appended.

    `files` are the files of the folder to include, by default all.
    """
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    if files is None:
        files = [entry for entry in path.rglob("*") if entry.is_file()]
    files = sorted(files, key=lambda file: file.relative_to(path).parts)
    listing = [{"md5": hash_md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"
