"""Find the stages whose outputs no longer match the parameters, code and inputs, with all reasons."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omokage.base.files import hash_file, hash_tree
from omokage.config.renamed import rename_parameters
from omokage.pipeline.code import hash_code
from omokage.pipeline.graph import Stage, find_upstream, locate, read_packages, read_stages
from omokage.stamps.records import FOLDER, Record, read_record


def find_record(root: Path, stage: Stage) -> Record | None:
    """Return the run record of the stage's last run, or None if the stage has not run yet."""
    path = root / stage.record
    return read_record(path) if path.is_file() else None


def find_stale(root: Path, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the stages whose outputs do not match the parameters, code and inputs, with all reasons.

    Hashes of inputs are taken from the run records of the stages that wrote them, so no data are read. Only the user's
    own images and the small outputs in git are hashed. A stale `params` makes no other stage stale, since its output is
    a constant.
    """
    stages = read_stages(root)
    reasons: dict[str, list[str]] = {}
    recorded_outs: dict[str, str] = {}
    for stage in stages.values():
        record = find_record(root, stage)
        recorded_outs.update(record["outs"] if record else {})
        upstream = [name for name in find_upstream(stages, stage.name) if name in reasons and name != "params"]
        if found := [*_find_reasons(root, stage, values, record, recorded_outs, upstream)]:
            reasons[stage.name] = found
    return reasons


def _find_reasons(
    root: Path,
    stage: Stage,
    values: Mapping[str, Any],
    record: Record | None,
    recorded_outs: Mapping[str, str],
    stale_upstream: Iterable[str],
) -> Iterator[str]:
    if record is None:
        yield "has not run yet"
        return
    yield from _check_outputs(root, stage, record)
    current = json.loads(json.dumps(stage.select_params(values)))
    recorded = rename_parameters(record["params"])
    yield from (f"parameter {key} changed" for key in _find_different_keys(recorded, current))
    yield from (f"stage {name} will run" for name in stale_upstream)
    listed = read_packages(root, stage)
    for package in _find_different_keys(record["packages"], listed):
        before, after = (versions.get(package, "not used") for versions in (record["packages"], listed))
        yield f"package {package} changed: {before} before, {after} now"
    yield from _check_code(root, stage, record)
    yield from _check_data(root, stage, values, record, recorded_outs)


def _check_outputs(root: Path, stage: Stage, record: Record) -> Iterator[str]:
    for out in stage.outs:
        if not (root / out).exists():
            yield f"{out} is missing"
        elif out in stage.outs_in_git and out != stage.record and hash_tree(root / out) != record["outs"].get(out):
            yield f"{out} was changed after the stage wrote it"


def _check_code(root: Path, stage: Stage, record: Record) -> Iterator[str]:
    """Yield the changed code files that the record lists, or the changed folder if it lists none of them."""
    recorded = record.get("code_deps", {})
    for dep in stage.code:
        if not (root / dep).exists():
            yield f"{dep} is missing"
        elif recorded.get(dep) != hash_code(root, dep):
            files = [path for path in record["code"] if path == dep or path.startswith(f"{dep}/")]
            changed = [path for path in files if not _has_hash(root / path, record["code"][path])]
            yield from (f"{path} changed" for path in changed or [dep])
    yield from (f"{dep} is no longer an input" for dep in sorted(recorded.keys() - {*stage.code}))


def _has_hash(path: Path, digest: str) -> bool:
    return path.is_file() and hash_file(path) == digest


def _check_data(
    root: Path, stage: Stage, values: Mapping[str, Any], record: Record, recorded_outs: Mapping[str, str]
) -> Iterator[str]:
    for dep in stage.data:
        path = locate(root, dep, values)
        if dep in recorded_outs and not dep.startswith(FOLDER):
            current = recorded_outs[dep]
        elif path.exists():
            current = hash_tree(path)
        else:
            yield f"{path} is missing"
            continue
        if record["deps"].get(dep) != current:
            yield f"{dep} changed"
    yield from (f"{dep} is no longer an input" for dep in sorted(record["deps"].keys() - {*stage.data}))


def _find_different_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
