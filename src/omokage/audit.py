"""Is what lies here what dvc.lock and the records say?

Every output is held against dvc.lock, the records against it and each other, every stamp against the records.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omokage import lock, pipeline, provenance
from omokage.errors import Refused
from omokage.params import whole
from omokage.pipeline import Stage
from omokage.provenance import Record
from omokage.trace import misfits

STAMPED = {".png", ".gif", ".svg", ".html", ".md"}


@dataclass(frozen=True)
class Finding:
    """What is the matter with an output; `proven` is None where it is not here to be looked at."""

    path: str
    proven: bool | None
    says: str


def findings(root: Path) -> Iterator[Finding]:
    """Yield one finding for every output and every record, one for every stamp, and one for all that should not be.

    Raises Refused if there is no dvc.lock.
    """
    stages, locked = pipeline.read(root), lock.read(root)
    if not locked:
        raise Refused("dvc.lock is missing: nothing has run yet; run `make` or `dvc repro`")
    records = {name: record for name, stage in stages.items() if (record := pipeline.read_record(root, stage))}
    for name in locked.keys() - stages.keys():
        yield Finding(lock.NAME, False, f"has a stage {name}, which dvc.yaml has not")
    for stage in stages.values():
        if stage.name not in locked:
            yield Finding(lock.NAME, False, f"does not know the stage {stage.name}: `dvc repro` runs it")
            continue
        yield from _outputs(root, stage, locked[stage.name])
        yield from _inputs(stage, stages, locked)
        if stage.name in records:
            yield _record(root, stage, locked[stage.name], records)
            yield from _stamps(root, stage, records)
    yield from _strays(root, stages)


def _outputs(root: Path, stage: Stage, entry: Mapping[str, Any]) -> Iterator[Finding]:
    """Hold each output against its hash in dvc.lock."""
    made = lock.hashes(entry, "outs")
    for path in sorted(made.keys() - set(stage.outs)):
        yield Finding(path, False, f"is in dvc.lock, but dvc.yaml has {stage.name} make no such file")
    for path in stage.outs:
        if path not in made:
            yield Finding(path, False, f"is not in dvc.lock: `dvc repro` makes it ({stage.name})")
        elif not (root / path).exists():
            if path in stage.small:
                yield Finding(path, False, f"is missing: `dvc repro` makes it ({stage.name})")
            else:
                yield Finding(path, None, "is not here: `dvc pull` or `dvc repro` brings it")
        elif (found := lock.md5(root / path)) != made[path]:
            yield Finding(path, False, f"has MD5 {found}, where {stage.name} made {made[path]}")
        else:
            yield Finding(path, True, f"is what {stage.name} made")


def _inputs(stage: Stage, stages: Mapping[str, Stage], locked: Mapping[str, Any]) -> Iterator[Finding]:
    """Hold what went into a stage, by dvc.lock, against what the stages before it made, by dvc.lock."""
    taken = lock.hashes(locked[stage.name], "deps")
    for name in pipeline.upstream(stages, stage.name):
        made = lock.hashes(locked.get(name, {}), "outs")
        for path in sorted(path for path in made.keys() & taken.keys() if made[path] != taken[path]):
            yield Finding(lock.NAME, False, f"has {stage.name} take another {path} than {name} made")


def _record(root: Path, stage: Stage, entry: Mapping[str, Any], records: Mapping[str, Record]) -> Finding:
    """Hold a record against dvc.lock, the files, and the records of the stages before."""
    record = records[stage.name]
    if record["params"] != lock.params(entry):
        return Finding(stage.record, False, "has other parameters than dvc.lock")
    for path, digest in record["outs"].items():
        if (root / path).exists() and pipeline.digest(root / path) != digest:
            return Finding(stage.record, False, f"tells of another {path} than is here")
    made = {path: digest for other in records.values() for path, digest in other["outs"].items()}
    for path, digest in record["deps"].items():
        if made.get(path, digest) != digest:
            return Finding(stage.record, False, f"has {stage.name} take another {path} than was made, by its record")
    taken = lock.hashes(entry, "deps")
    for path, digest in record["code"].items():
        # Code that has changed since is for `omokage stale` to tell.
        same = (root / path).is_file() and lock.md5(root / path) == taken.get(path)
        if same and pipeline.digest(root / path) != digest:
            return Finding(stage.record, False, f"tells of another {path} than dvc.lock")
    return Finding(stage.record, True, "agrees with dvc.lock, the files and the records before it")


def _stamps(root: Path, stage: Stage, records: Mapping[str, Record]) -> Iterator[Finding]:
    """Each figure shows the pixels recorded, and is stamped, as is each report, with the runs of the records."""
    drawn = records[stage.name].get("facts", {}).get("figures", {})
    for path in stage.outs:
        if Path(path).suffix not in STAMPED or not (root / path).is_file():
            continue
        try:
            stamp = provenance.read(root / path)
        except Refused as error:
            yield Finding(path, False, str(error))
            continue
        known = drawn.get(Path(path).name, {}).get("pixels")
        if known and not known == provenance.pixels(root / path) == stamp.get("pixels", known):
            yield Finding(path, False, "shows other pixels than were drawn")
        elif other := misfits(stamp, stage.name, records):
            yield Finding(path, False, f"is stamped with another run of {other[0]} than its record")
        else:
            yield Finding(path, True, "carries the parameters, data and code of its records")


def _strays(root: Path, stages: Mapping[str, Stage]) -> Iterator[Finding]:
    """Beside the results that git keeps lies nothing that no stage makes."""
    declared = whole.load(root / "dvc.yaml")
    small = {path for stage in stages.values() for path in stage.small}
    known = {path for stage in stages.values() for path in stage.outs} | set(declared.get("metrics", []))
    for folder in sorted({Path(path).parent for path in small}):
        for path in sorted((root / folder).glob("[!.]*")):
            if path.is_file() and path.relative_to(root).as_posix() not in known:
                yield Finding(path.relative_to(root).as_posix(), False, "is no stage's output: nothing vouches for it")
