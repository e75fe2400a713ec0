"""Describe the runs behind an output by dvc.lock, for outputs without a stamp, such as tables, data and the model."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from omokage.base.errors import UserError
from omokage.pipeline.graph import CODE, PACKAGES, parse_packages
from omokage.provenance.history import Entry, History, Revision
from omokage.stamps.records import publish, trace_runs
from omokage.stamps.stamp import Stamp

# The output of this stage is a constant, so nothing depends on its run.
CONSTANT = "params"


class OutputLocation(NamedTuple):
    """An output in a revision, with the path and the MD5 that the revision's dvc.lock lists under `stage`."""

    revision: Revision
    stage: str
    path: str
    md5: str


def find_outputs(history: History, md5: str) -> list[OutputLocation]:
    """Return the outputs with this MD5 that the dvc.lock of any revision lists."""
    return [
        OutputLocation(revision, stage, out, digest)
        for revision in history.revisions
        for stage, entry in history.locks(revision).items()
        for out, digest in entry["outs"].items()
        if digest == md5
    ]


def trace_entries(locks: Mapping[str, Entry], deps: Mapping[str, str]) -> dict[str, Any]:
    """Return the entries of dvc.lock upstream of the files `deps` (path -> MD5), by stage.

    Raises UserError if dvc.lock lists two MD5s of one file, since its entries are then of different runs.
    """
    entries = [{"stage": name, **entry} for name, entry in locks.items() if name != CONSTANT]
    return trace_runs(deps, entries)


def list_runs(history: History, revision: Revision) -> dict[str, dict[str, Any]]:
    """Return the entries of a revision's dvc.lock in the form of published run records, by stage.

    `code` has the MD5 of the folders in dvc.yaml instead of the loaded files.
    """
    locks = history.locks(revision)
    return {name: _split_deps(history, revision, publish({"stage": name, **locks[name]})) for name in locks}


def describe_runs(history: History, locations: Sequence[OutputLocation]) -> Stamp:
    """Return a stamp built from dvc.lock, for an output that the revisions at `locations` have.

    The stamp is empty if every dvc.lock mixes entries of different runs.
    """
    for revision, stage, _, _ in locations:
        locks, runs = history.locks(revision), list_runs(history, revision)
        with suppress(UserError):
            upstream = trace_entries(locks, locks[stage]["deps"])
            return {**runs[stage], "runs": {name: runs[name] for name in upstream}}
    return {}


def _split_deps(history: History, revision: Revision, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of dvc.lock with code and package versions apart from the other `deps`, as in a run record.

    If the revision has another package list than the run had, the list itself counts as code.
    """
    code = {path: md5 for path, md5 in entry["deps"].items() if path.startswith((CODE, PACKAGES))}
    packages: dict[str, str] = {}
    for path in [path for path in code if path.startswith(PACKAGES)]:
        content = history.read(revision, path)
        if content is not None and hashlib.md5(content).hexdigest() == code[path]:
            packages = parse_packages(content.decode())
            del code[path]
    deps = {path: md5 for path, md5 in entry["deps"].items() if not path.startswith((CODE, PACKAGES))}
    return {**entry, "deps": deps, "code": code, "packages": packages}
