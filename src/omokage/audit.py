"""Is what lies here what its records say? Every output is held against dvc.lock, every figure against the records."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omokage import pipeline, provenance
from omokage.errors import Refused
from omokage.params import whole


@dataclass(frozen=True)
class Finding:
    """What is the matter with an output; `proven` is None where it is not here to be looked at."""

    path: str
    proven: bool | None
    says: str


def findings(root: Path) -> Iterator[Finding]:
    """Yield one finding for every output in dvc.lock, then one for every figure's stamp.

    Raises Refused if there is no dvc.lock.
    """
    lock = root / "dvc.lock"
    if not lock.is_file():
        raise Refused("dvc.lock is missing: nothing has run yet; run `make` or `dvc repro`")
    in_git = {out for stage in pipeline.read(root).values() for out in stage.small}
    for stage, entry in whole.load(lock)["stages"].items():
        for out in entry.get("outs", []):
            yield _held_against_lock(root, stage, out, out["path"] in in_git)
    yield from _stamps(root)


def _held_against_lock(root: Path, stage: str, out: dict[str, Any], in_git: bool) -> Finding:
    path = str(out["path"])
    if not (root / path).exists():
        if in_git:
            return Finding(path, False, f"is missing: `dvc repro` makes it ({stage})")
        return Finding(path, None, "is not here: `dvc pull` or `dvc repro` brings it")
    if (found := md5(root / path)) != out["md5"]:
        return Finding(path, False, f"has MD5 {found}, where {stage} made {out['md5']}")
    return Finding(path, True, f"is what {stage} made")


def md5(path: Path) -> str:
    """Return DVC's hash of a file, or of a folder: that of the JSON list of its files and their hashes, and `.dir`."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    files = sorted((entry for entry in path.rglob("*") if entry.is_file()), key=lambda e: e.relative_to(path).parts)
    listing = [{"md5": md5(entry), "relpath": entry.relative_to(path).as_posix()} for entry in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"


def _stamps(root: Path) -> Iterator[Finding]:
    """Each figure's pixels are those recorded, and the runs it is stamped with are those of the records."""
    stages = pipeline.read(root)
    records = {name: record for name, stage in stages.items() if (record := pipeline.read_record(root, stage))}
    drawn = records.get("figures", {}).get("facts", {}).get("figures", {})
    for name, known in drawn.items():
        path = f"results/figures/{name}"
        if not (root / path).is_file():
            continue
        if provenance.pixels(root / path) != known["pixels"]:
            yield Finding(path, False, "shows other pixels than were drawn")
            continue
        runs = provenance.read(root / path)["runs"]
        other = [stage for stage, run in runs.items() if run != _as_stamped(records.get(stage))]
        if other:
            yield Finding(path, False, f"is stamped with another run of {other[0]} than its record")
        else:
            yield Finding(path, True, "carries the parameters, data and code of its records")


def _as_stamped(record: dict[str, Any] | None) -> dict[str, Any] | None:
    return record and provenance.public({key: value for key, value in record.items() if key != "stage"})
