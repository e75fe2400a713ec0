"""Find the stages whose outputs no longer match the parameters, code and inputs, with all reasons."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omokage.base.files import hash_file, hash_tree
from omokage.config.renamed import rename_parameters
from omokage.pipeline.code import hash_code
from omokage.pipeline.dvc_lock import get_hashes, get_params, has_same_run, hash_dependency, hash_md5, read_lock
from omokage.pipeline.graph import Stage, fill_in, find_upstream, locate, read_packages, read_stages
from omokage.stamps.records import Record, read_record


def find_record(root: Path, stage: Stage) -> Record | None:
    """Return the run record of the stage's last run, or None if this checkout has none."""
    path = root / stage.record
    return read_record(path) if path.is_file() else None


@dataclass(frozen=True)
class LastRun:
    """The last run of a stage, as this checkout knows it: by its run record, by its entry in dvc.lock, or by both.

    `entry` is None if the record describes a different run: Snakemake without DVC updates only the record. `record` is
    None if the checkout lacks it, as a fresh clone does.
    """

    record: Record | None
    entry: Mapping[str, Any] | None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters under their current names."""
        return rename_parameters(self.record["params"] if self.record else get_params(self.entry or {}))

    def hashes(self, kind: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the sha256 (from the record) and the MD5 (from dvc.lock) of each file under `kind`, by path."""
        return self.record[kind] if self.record else {}, get_hashes(self.entry or {}, kind)


def find_stale(root: Path, values: Mapping[str, Any], missing_is_stale: bool = True) -> dict[str, list[str]]:
    """Return the stages whose outputs do not match the parameters, code and inputs, with all reasons.

    Hashes of inputs are taken from the runs that wrote them, so no data are read. Only the user's own images and the
    small outputs in git are hashed. A stale `params` makes no other stage stale, since its output is a constant.
    `missing_is_stale` says whether a stage is stale because this checkout lacks outputs that DVC's cache may have.
    """
    stages = read_stages(root)
    runs = _find_last_runs(root, stages)
    reasons: dict[str, list[str]] = {}
    for stage in stages.values():
        upstream = [name for name in find_upstream(stages, stage.name) if name in reasons and name != "params"]
        run = runs.get(stage.name)
        found = [*_find_reasons(root, stage, values, run, runs, missing_is_stale)] if run else ["has not run yet"]
        if run:
            found += [f"stage {name} will run" for name in upstream]
        if found:
            reasons[stage.name] = found
    return reasons


def find_absent(root: Path, stage: Stage) -> list[str]:
    """Return the outputs of a stage that this checkout lacks and DVC's cache may have."""
    return [out for out in stage.outs if out not in stage.outs_in_git and not (root / out).exists()]


def _find_last_runs(root: Path, stages: Mapping[str, Stage]) -> dict[str, LastRun]:
    """Return the last run of every stage that has run. dvc.lock is read only if a record is missing."""
    records = {name: record for name, stage in stages.items() if (record := find_record(root, stage))}
    locked = {} if records.keys() == stages.keys() else read_lock(root)
    runs = {}
    for name, stage in stages.items():
        entry = locked.get(name)
        if entry and name in records and not has_same_run(root, stage, entry):
            entry = None
        if entry or name in records:
            runs[name] = LastRun(records.get(name), entry)
    return runs


def _find_reasons(
    root: Path,
    stage: Stage,
    values: Mapping[str, Any],
    run: LastRun,
    runs: Mapping[str, LastRun],
    missing_is_stale: bool,
) -> Iterator[str]:
    yield from _check_outputs(root, stage, run, missing_is_stale)
    current = json.loads(json.dumps(stage.select_params(values)))
    yield from (f"parameter {key} changed" for key in _find_different_keys(run.params, current))
    if run.record:
        yield from _check_packages(root, stage, run.record)
        yield from _check_code(root, stage, run.record)
    else:
        locked = run.hashes("deps")[1]
        yield from (
            f"{dep} changed"
            for dep in (*stage.code, stage.packages)
            if not (root / dep).exists() or hash_dependency(root, dep, root / dep) != locked.get(dep)
        )
    yield from _check_data(root, stage, values, run, runs)


def _check_outputs(root: Path, stage: Stage, run: LastRun, missing_is_stale: bool) -> Iterator[str]:
    sha256, md5 = run.hashes("outs")
    for out in stage.outs:
        path = root / out
        if path.exists():
            if out in stage.outs_in_git and hash_tree(path) != sha256.get(out) and hash_md5(path) != md5.get(out):
                yield f"{out} was changed after the stage wrote it"
        elif out in stage.outs_in_git:
            yield f"{out} is missing"
        elif missing_is_stale:
            yield f"{out} is not in this checkout: `dvc pull` may fetch it"


def _check_packages(root: Path, stage: Stage, record: Record) -> Iterator[str]:
    listed = read_packages(root, stage)
    for package in _find_different_keys(record["packages"], listed):
        before, after = (versions.get(package, "not used") for versions in (record["packages"], listed))
        yield f"package {package} changed: {before} before, {after} now"


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
    root: Path, stage: Stage, values: Mapping[str, Any], run: LastRun, runs: Mapping[str, LastRun]
) -> Iterator[str]:
    """Yield the inputs that differ from those of the run: compared by sha256, or by MD5 if one side has only MD5s."""
    made_sha256, made_md5 = (
        {path: digest for other in runs.values() for path, digest in other.hashes("outs")[kind].items()}
        for kind in (0, 1)
    )
    sha256, md5 = run.hashes("deps")
    for dep in stage.data:
        path, locked = locate(root, dep, values), md5.get(fill_in(dep, values))
        if dep in sha256 and dep in made_sha256:
            is_same = sha256[dep] == made_sha256[dep]
        elif locked and dep in made_md5:
            is_same = locked == made_md5[dep]
        elif path.exists():
            is_same = hash_tree(path) == sha256[dep] if dep in sha256 else hash_md5(path) == locked
        else:
            yield f"{path} is missing"
            continue
        if not is_same:
            yield f"{dep} changed"
    recorded = run.record["deps"].keys() - {*stage.data} if run.record else ()
    yield from (f"{dep} is no longer an input" for dep in sorted(recorded))


def _find_different_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
