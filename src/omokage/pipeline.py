"""dvc.yaml as Python sees it: the stages, what each needs and makes, and which no longer fit what is there."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omokage.checkout import main_checkout
from omokage.params import whole

CHECKOUT = "remote://checkout/"
RECORDS = "results/runs/"


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml; paths are relative to the checkout, `params` is None where the whole file counts.

    `small` are those of `outs` that git keeps. DVC's run-cache has `left_out` the stage if one is no metric or plot.
    """

    name: str
    params: tuple[str, ...] | None
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    small: tuple[str, ...]
    left_out: bool

    @property
    def record(self) -> str:
        """The stage's record, the last of its outputs to be written."""
        return f"{RECORDS}{self.name}.json"

    @property
    def code(self) -> tuple[str, ...]:
        """The project's files that can change what the stage makes."""
        return tuple(dep for dep in self.deps if dep.startswith("src/"))

    @property
    def packages(self) -> str:
        """The list of distributions, with versions, that can change what the stage makes."""
        return f"workflow/packages/{self.name}.txt"

    @property
    def data(self) -> tuple[str, ...]:
        """The deps that are neither code nor packages."""
        return tuple(dep for dep in self.deps if not dep.startswith("src/") and dep != self.packages)

    def chosen(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters this stage declares, out of all."""
        return dict(values) if self.params is None else {key: values[key] for key in self.params}


def read(root: Path) -> dict[str, Stage]:
    """Return the stages of the checkout's dvc.yaml, in its order."""
    declared = whole.load(root / "dvc.yaml")["stages"]
    return {name: _stage(name, entry) for name, entry in declared.items()}


def _stage(name: str, entry: Mapping[str, Any]) -> Stage:
    params = entry.get("params", [])
    everything = any(isinstance(param, dict) for param in params)
    plain, metrics, plots = (
        {path: options for out in entry.get(kind, []) for path, options in _detailed(out).items()}
        for kind in ("outs", "metrics", "plots")
    )
    outs = plain | metrics | plots
    return Stage(
        name=name,
        params=None if everything else tuple(params),
        deps=tuple(entry.get("deps", [])),
        outs=tuple(outs),
        small=tuple(path for path, options in outs.items() if _in_git(options)),
        left_out=any(map(_in_git, plain.values())),
    )


def _detailed(out: str | dict[str, Any]) -> dict[str, Any]:
    return {out: {}} if isinstance(out, str) else out


def _in_git(options: Mapping[str, Any]) -> bool:
    return options.get("cache") is False


def upstream(stages: Mapping[str, Stage], name: str) -> list[str]:
    """Return the stages whose outputs `name` depends on, in the order of dvc.yaml."""
    return [other.name for other in stages.values() if set(other.outs) & set(stages[name].deps)]


def locate(root: Path, path: str, values: Mapping[str, Any]) -> Path:
    """Return where a declared path lies: in the checkout, or for the user's pictures relative to the main checkout."""
    if not path.startswith(CHECKOUT):
        return root / path
    return main_checkout(root) / filled(path, values).removeprefix(CHECKOUT)


def filled(path: str, values: Mapping[str, Any]) -> str:
    """Return a declared path with its parameters filled in, as dvc.lock has it."""
    return re.sub(r"\$\{(\w+)\}", lambda match: str(values[match[1]]), path)


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of a folder's file names and contents."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    tree = hashlib.sha256()
    for file_path in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        tree.update(f"{file_path.relative_to(path).as_posix()}\0{_digest_or_not(file_path)}\n".encode())
    return tree.hexdigest()


def _digest_or_not(path: Path) -> str:
    """A file among the user's own that nobody may read is left out by `download`, which says so."""
    try:
        return digest(path)
    except OSError:
        return "unreadable"


def packages(root: Path, stage: Stage) -> dict[str, str]:
    """Return the versions of the distributions that the stage is keyed by."""
    listing = root / stage.packages
    return dict(line.split("==") for line in listing.read_text(encoding="utf-8").split()) if listing.is_file() else {}


def read_record(root: Path, stage: Stage) -> dict[str, Any] | None:
    """Return what the stage's last run wrote about itself, or None."""
    path = root / stage.record
    return json.loads(path.read_text(encoding="utf-8"))[0] if path.is_file() else None


def stale(root: Path, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the stages whose outputs do not fit the parameters, code and inputs that are there, with all the reasons.

    Inputs are compared record against record, so no data is read, except for the user's own pictures and for what git
    keeps, which is small. Only `params` never makes others stale: what it writes is a constant.
    """
    stages = read(root)
    reasons: dict[str, list[str]] = {}
    made: dict[str, str] = {}
    for stage in stages.values():
        record = read_record(root, stage)
        made.update(record["outs"] if record else {})
        upset = [name for name in upstream(stages, stage.name) if name in reasons and name != "params"]
        if found := [*_reasons(root, stage, values, record, made, upset)]:
            reasons[stage.name] = found
    return reasons


def _reasons(
    root: Path,
    stage: Stage,
    values: Mapping[str, Any],
    record: dict[str, Any] | None,
    made: Mapping[str, str],
    upset: Iterable[str],
) -> Iterator[str]:
    if record is None:
        yield "has not run yet"
        return
    for out in stage.outs:
        if not (root / out).exists():
            yield f"{out} is missing"
        elif out in stage.small and out != stage.record and digest(root / out) != record["outs"].get(out):
            yield f"{out} is not what the stage made"
    now = json.loads(json.dumps(stage.chosen(values)))
    yield from (f"parameter {key} changed" for key in _different(record["params"], now))
    yield from (f"stage {name} is to run" for name in upset)
    listed = packages(root, stage)
    for package in _different(record["packages"], listed):
        was, is_now = (versions.get(package, "not used") for versions in (record["packages"], listed))
        yield f"package {package} changed: {was} before, {is_now} now"
    hashes = {**record["deps"], **record["code"]}
    for dep in (*stage.code, *stage.data):
        place = locate(root, dep, values)
        if dep in made and not dep.startswith(RECORDS):
            current = made[dep]
        elif place.exists():
            current = digest(place)
        else:
            yield f"{place} is missing"
            continue
        if hashes.get(dep) != current:
            yield f"{dep} changed"
    yield from (f"{dep} is no input any more" for dep in sorted(hashes.keys() - {*stage.code, *stage.data}))


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the keys that are not alike in both."""
    return sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
