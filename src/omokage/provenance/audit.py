"""Audit the results: check outputs, run records and stamps.

Outputs are checked against dvc.lock. Run records (see stamps/records.py) are checked against dvc.lock and each other.
Stamps, the metadata in figures and reports, are checked against the records, and against dvc.lock and each other in a
checkout without records.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.base.files import hash_file, hash_tree
from omokage.pipeline import dvc_lock, graph
from omokage.pipeline.code import hash_code
from omokage.pipeline.graph import Stage
from omokage.pipeline.stale import find_record
from omokage.provenance.stamped_files import RECORD_PARTS, load_stamp
from omokage.stamps.records import Record, publish
from omokage.stamps.stamp import Stamp, hash_pixels

# Outputs with these suffixes have a stamp.
STAMPED_SUFFIXES = {".png", ".gif", ".svg", ".html", ".md"}


@dataclass(frozen=True)
class Finding:
    """The result of one check. `path` followed by `message` is a sentence.

    `passed` is None for an output that was not checked, because only DVC's cache or remote may have it.
    """

    path: str
    passed: bool | None
    message: str


def audit_outputs(root: Path) -> Iterator[Finding]:
    """Yield a finding for every output, record and stamp, and for every contradiction in dvc.lock.

    Also yields a finding for every file that no stage writes, in folders with outputs that git tracks. The outputs of
    stages that a user has added are not checked. Raises UserError if there is no dvc.lock.
    """
    stages, locked = graph.read_stages(root), dvc_lock.read_lock(root)
    if not locked:
        raise UserError("dvc.lock is missing: nothing has run yet; run `make` or `dvc repro`")
    records = {name: record for name, stage in stages.items() if (record := find_record(root, stage))}
    # Without its record, dvc.lock gives the parameters of a run, and the first stamp the rest.
    entries = {name: publish({"stage": name, **dvc_lock.list_entry(entry)}) for name, entry in locked.items()}
    runs = {name: {"params": entry["params"]} for name, entry in entries.items()}
    runs |= {name: publish(record) for name, record in records.items()}
    declared = graph.list_stage_names(root)
    for name in sorted(locked.keys() - stages.keys()):
        # The stage NAME with a matrix or foreach has entries NAME@ITEM.
        if name.partition("@")[0] not in declared:
            yield Finding(dvc_lock.NAME, False, f"lists stage {name}, which dvc.yaml does not declare")
    for stage in stages.values():
        if stage.name not in locked:
            yield Finding(dvc_lock.NAME, False, f"does not list stage {stage.name}: run `dvc repro`")
            continue
        yield from _check_outputs(root, stage, locked[stage.name])
        yield from _check_inputs(stage, stages, locked)
        if stage.name in records:
            yield _check_record(root, stage, locked[stage.name], records)
        yield from _check_stamps(root, stage, runs, records.get(stage.name, {}).get("facts", {}).get("figures", {}))
    yield from _find_undeclared(root, stages, locked)


def _check_outputs(root: Path, stage: Stage, entry: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare each output of a stage with its hash in dvc.lock."""
    expected = dvc_lock.get_hashes(entry, "outs")
    for path in sorted(expected.keys() - set(stage.outs)):
        yield Finding(path, False, f"is in dvc.lock, but dvc.yaml does not declare it as an output of {stage.name}")
    for path in stage.outs:
        if path not in expected:
            yield Finding(path, False, f"is not in dvc.lock: run `dvc repro` (stage {stage.name})")
        elif not (root / path).exists():
            if path in stage.outs_in_git:
                yield Finding(path, False, f"is missing: run `dvc repro` (stage {stage.name})")
            else:
                yield Finding(path, None, "is not in this checkout: run `dvc pull` or `dvc repro`")
        elif (actual := dvc_lock.hash_md5(root / path)) != expected[path]:
            yield Finding(path, False, f"has MD5 {actual}, but dvc.lock lists {expected[path]} (stage {stage.name})")
        else:
            yield Finding(path, True, f"matches dvc.lock (stage {stage.name})")


def _check_inputs(stage: Stage, stages: Mapping[str, Stage], locked: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare the hashes of files that dvc.lock lists both as inputs of a stage and as outputs of earlier stages."""
    inputs = dvc_lock.get_hashes(locked[stage.name], "deps")
    for name in graph.find_upstream(stages, stage.name):
        outputs = dvc_lock.get_hashes(locked.get(name, {}), "outs")
        for path in sorted(path for path in outputs.keys() & inputs.keys() if outputs[path] != inputs[path]):
            message = f"lists two hashes of {path}: as an output of {name} and as an input of {stage.name}"
            yield Finding(dvc_lock.NAME, False, message)


def _check_record(root: Path, stage: Stage, entry: Mapping[str, Any], records: Mapping[str, Record]) -> Finding:
    """Compare the record of a stage with dvc.lock (`entry`), the output files, and the records of earlier stages."""
    record = records[stage.name]
    if record["params"] != dvc_lock.get_params(entry):
        return Finding(stage.record, False, "lists parameters that differ from those in dvc.lock")
    for path, digest in record["outs"].items():
        if (root / path).exists() and hash_tree(root / path) != digest:
            return Finding(stage.record, False, f"lists a hash of {path} that differs from that of the file")
    outputs = {path: digest for upstream in records.values() for path, digest in upstream["outs"].items()}
    for path, digest in record["deps"].items():
        if outputs.get(path, digest) != digest:
            message = f"lists a hash of its input {path} that differs from the record of the stage that wrote it"
            return Finding(stage.record, False, message)
    if path := _find_wrong_code(root, record, dvc_lock.get_hashes(entry, "deps")):
        return Finding(stage.record, False, f"lists a hash of {path} that differs from that of the code in dvc.lock")
    return Finding(stage.record, True, "matches dvc.lock, the files and the records of earlier stages")


def _find_wrong_code(root: Path, record: Record, locked: Mapping[str, str]) -> str | None:
    """Return the path of a code file or folder that has a wrong hash in the record, or None.

    `locked` are the hashes in dvc.lock. Only code that still matches them is checked. `omokage stale` reports code that
    has changed since the run.
    """
    for dep, digest in record.get("code_deps", {}).items():
        place = root / dep
        if not place.exists() or dvc_lock.hash_dependency(root, dep, place) != locked.get(dep):
            continue
        if hash_code(root, dep) != digest:
            return dep
        loaded = [path for path in record["code"] if path == dep or path.startswith(f"{dep}/")]
        for path in loaded:
            if not (root / path).is_file() or hash_file(root / path) != record["code"][path]:
                return path
    return None


def _check_stamps(
    root: Path, stage: Stage, runs: dict[str, Record], figures: Mapping[str, Mapping[str, str]]
) -> Iterator[Finding]:
    """Compare the stamps of a stage's figures and reports with `runs`, and their pixels with `figures`, by file name.

    `runs` are what is known of the runs, by stage. What the first stamp says about a further run is added.
    """
    for path in stage.outs:
        if Path(path).suffix not in STAMPED_SUFFIXES or not (root / path).is_file():
            continue
        if (stamp := load_stamp(root / path)) is None:
            yield Finding(path, False, "has no Omokage metadata")
            continue
        expected = figures.get(Path(path).name, stamp).get("pixels")
        if expected and not expected == hash_pixels(root / path) == stamp.get("pixels", expected):
            yield Finding(path, False, "has pixels that differ from the recorded hash")
        elif mismatches := _find_mismatches(stamp, stage.name, runs):
            yield Finding(path, False, f"has metadata of a run of {mismatches[0]} that differs from the recorded run")
        else:
            yield Finding(path, True, "has metadata that matches the recorded runs")
            runs |= {name: {**run, **runs[name]} for name, run in stamp.get("runs", {}).items()}


def _find_mismatches(stamp: Stamp, stage: str, runs: Mapping[str, Record]) -> list[str]:
    """Return the stages for which `stamp`, that of an output of `stage`, and `runs` describe different runs."""
    upstream = [
        name
        for name, run in stamp.get("runs", {}).items()
        if name not in runs or any(run.get(key) != value for key, value in runs[name].items())
    ]
    own = [(runs[stage][part], stamp.get(part, {})) for part in RECORD_PARTS if part in runs[stage]]
    is_same = all(recorded.get(key) == value for recorded, part in own for key, value in part.items())
    return upstream if is_same else [*upstream, stage]


def _find_undeclared(root: Path, stages: Mapping[str, Stage], locked: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a finding for every file that no stage writes or reads, in the folders with outputs that git tracks.

    The outputs of stages that a user has added are taken from dvc.lock.
    """
    in_git = {path for stage in stages.values() for path in stage.outs_in_git}
    declared = {path for stage in stages.values() for path in (*stage.outs, *stage.deps)}
    declared |= {item["path"] for entry in locked.values() for item in entry.get("outs", [])}
    for folder in sorted({Path(path).parent for path in in_git}):
        for path in sorted((root / folder).glob("[!.]*")):
            if path.is_file() and path.relative_to(root).as_posix() not in declared:
                yield Finding(path.relative_to(root).as_posix(), False, "is not an output of any stage")
