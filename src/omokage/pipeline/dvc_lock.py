"""Read dvc.lock: the parameters and hashes of every stage's last run, as DVC recorded them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.base.json_file import explain_damage
from omokage.config.yaml_file import parse_dvc_yaml
from omokage.pipeline.code import list_code
from omokage.pipeline.graph import CODE, Stage, is_own

NAME = "dvc.lock"


def read_lock(root: Path) -> dict[str, Any]:
    """Return the entry of each stage in dvc.lock, by stage name; empty if there is no dvc.lock yet."""
    return parse_lock((root / NAME).read_bytes()) if (root / NAME).is_file() else {}


def parse_lock(content: bytes) -> dict[str, Any]:
    """Return the entry of each stage in the bytes of a dvc.lock. Raises UserError if they are damaged."""
    text = content.decode("utf-8", "replace")
    try:
        stages: dict[str, Any] = parse_dvc_yaml(text, NAME)["stages"]
        for name, entry in stages.items():
            get_params(entry)
            items = [item for kind in ("deps", "outs") for item in entry.get(kind, [])]
            # A stage that a user has added may depend on an address, which has no MD5.
            assert all("md5" in item for item in items) or not is_own(name, entry["cmd"])
    except (UserError, LookupError, TypeError, AttributeError, ValueError, AssertionError) as error:
        raise UserError(explain_damage(text, NAME, "is cut off or damaged")) from error
    return stages


def get_hashes(entry: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return the MD5s, by path, that an entry of dvc.lock lists under `kind`, which is "deps" or "outs"."""
    return {item["path"]: item["md5"] for item in entry.get(kind, []) if "md5" in item}


def get_params(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that an entry of dvc.lock lists."""
    return dict(entry.get("params", {}).get("params.yaml", {}))


def list_entry(entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the `params` of an entry of dvc.lock, and the MD5s of its `deps` and `outs` by path."""
    return {"params": get_params(entry), "deps": get_hashes(entry, "deps"), "outs": get_hashes(entry, "outs")}


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
    return hash_listing({file.relative_to(path).as_posix(): hash_md5(file) for file in files})


def hash_listing(files: Mapping[str, str]) -> str:
    """Return DVC's hash of a folder with these files: the MD5 of each, by path relative to the folder."""
    listing = [{"md5": files[path], "relpath": path} for path in sorted(files, key=lambda path: path.split("/"))]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"
