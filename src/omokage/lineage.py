"""What a file rests on, what of that is another now, and the commands that make it again."""

import json
import re
import shlex
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from omokage import pipeline
from omokage.errors import Refused
from omokage.history import WORKSPACE, History, Revision
from omokage.params import whole
from omokage.provenance import Record
from omokage.trace import DRAWN_BY, Trace

METRICS = "results/metrics.json"


class Lineage:
    """A trace, told: everything is read when it is asked for."""

    def __init__(self, history: History, trace: Trace) -> None:
        self.history, self.trace = history, trace
        self.runs: Mapping[str, Record] = trace.stamp.get("runs", {})
        self.stages = pipeline.read(history.root) if (history.root / "dvc.yaml").is_file() else {}

    @cached_property
    def command(self) -> str | None:
        """The key of DRAWN_BY, if a command drew the file."""
        return next((key for key in DRAWN_BY if key in self.trace.stamp), None)

    @cached_property
    def output(self) -> tuple[str, str]:
        """The output that the file is, or was before it was edited, and the stage that makes it; "" if not known."""
        if self.command:
            return "", ""
        if self.trace.held:
            return self.trace.held[0].path, self.trace.held[0].stage
        named = {self.trace.stamp.get("figure"), self.trace.stamp.get("report")} - {None}
        makers = [(out, name) for name, stage in self.stages.items() for out in stage.outs]
        return next((one for one in makers if named & {Path(one[0]).name, one[0].rpartition(".")[0]}), ("", ""))

    @cached_property
    def params(self) -> dict[str, dict[str, Any]]:
        """The parameters the file rests on, by stage, or by the command that drew it."""
        own = self.trace.stamp[self.command] if self.command else self.trace.stamp.get("params", {})
        order = {name: number for number, name in enumerate(self.stages)}
        runs = sorted(self.runs, key=lambda name: order.get(name, -1))
        told = {**{name: self.runs[name]["params"] for name in runs}, self.command or self.output[1]: own}
        return {name: values for name, values in told.items() if values}

    @cached_property
    def differing(self) -> dict[str, tuple[Any, Any]]:
        """Those parameters that are others in params.yaml now: the value then and now (None: there is none)."""
        return self._others(self._now) if self._now else {}

    def _others(self, values: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        then = {key: value for name, part in self.params.items() if name != self.command for key, value in part.items()}
        return {key: (value, values.get(key)) for key, value in then.items() if values.get(key) != value}

    @cached_property
    def code(self) -> list[str]:
        """The files of code that are others in the workspace now."""
        return [path for path, digest in self.made_of.items() if not self._is(WORKSPACE, path, digest)]

    @cached_property
    def made_of(self) -> dict[str, str]:
        """The sha256 of the code it rests on, by path."""
        runs = (self.trace.stamp, *self.runs.values())
        return dict(sorted({path: digest for run in runs for path, digest in run.get("code", {}).items()}.items()))

    def _is(self, revision: Revision, path: str, digest: str) -> bool:
        content = self.history.read(revision, path)
        return content is not None and sha256(content).hexdigest() == digest

    @cached_property
    def packages(self) -> dict[str, tuple[str, str | None]]:
        """The packages that are of another version now: the version then and now (None: not used)."""
        then = {self.output[1]: self.trace.stamp.get("packages", {})}
        then |= {name: run["packages"] for name, run in self.runs.items()}
        now = {name: pipeline.packages(self.history.root, self.stages[name]) for name in then if name in self.stages}
        return {
            package: (version, now[name].get(package))
            for name, versions in then.items()
            for package, version in versions.items()
            if name in now and now[name].get(package) != version
        }

    @cached_property
    def data(self) -> dict[str, Any]:
        """The name and version of the data set, and how many pictures it has."""
        facts = self.runs.get("download", {}).get("facts", {})
        return {key: facts[key] for key in ("name", "version", "pictures") if facts.get(key)}

    @cached_property
    def scores(self) -> dict[str, Any]:
        """The scores of the run that the first of the revisions holds."""
        content = self.history.read(self.held_by[0], METRICS) if self.held_by and "sample" in self.runs else None
        return json.loads(content) if content else {}

    @cached_property
    def pictures_changed(self) -> bool:
        """Whether the user's own pictures, which git does not keep, are others now."""
        run = self.runs.get("download", {"deps": {}, "params": {}})
        taken = run["deps"].get("folder")
        if taken is None or run["params"].get("source") != "folder" or "download" not in self.stages:
            return False
        folder = next(dep for dep in self.stages["download"].deps if dep.startswith(pipeline.CHECKOUT))
        place = pipeline.locate(self.history.root, folder, self._now)
        return not place.exists() or pipeline.digest(place) != taken

    @cached_property
    def _now(self) -> dict[str, Any]:
        return _values(self.history.read(WORKSPACE, "params.yaml") or b"")

    @cached_property
    def held_by(self) -> list[Revision]:
        """The revisions that hold the file: the workspace, then experiments, then commits, the newest first."""
        return list(dict.fromkeys(held.revision for held in self.trace.held))

    @cached_property
    def again(self) -> list[str]:
        """Commands that make the file again, the surest first; none where what made it is nowhere here."""
        if self.command == "compare":
            return [f"omokage compare {' '.join(map(shlex.quote, self.trace.stamp['compare'].get('runs', ())))}"]
        applied = [f"dvc exp apply {held.name}" for held in self.held_by if held.kind == "experiment"][:1]
        if self.pictures_changed:
            return applied
        commands = []
        if self.made_of and not (self.differing or self.code or self.packages):
            commands.append("dvc repro")
        commands += applied
        # The oldest of them is the commit that brought it.
        commits = [held for held in reversed(self.held_by) if held.kind == "commit"]
        if found := next((commit for commit in commits if self._can_be_made_at(commit)), None):
            commands.append(f"git checkout {found.name} && dvc repro")
        if self.differing and not (self.code or self.packages):
            settings = [f"-S {shlex.quote(f'{key}={_typed(then)}')}" for key, (then, _) in self.differing.items()]
            commands.append(f"dvc exp run {' '.join(settings)}")
        if self.command == "transform":
            commands.append(f"omokage transform {self.trace.stamp['transform'].get('how', '')} PICTURE ...")
        return commands

    def _can_be_made_at(self, commit: Revision) -> bool:
        values = _values(self.history.read(commit, "params.yaml") or b"")
        return not self._others(values) and all(self._is(commit, path, digest) for path, digest in self.made_of.items())


def _values(content: bytes) -> dict[str, Any]:
    try:
        values = whole.parse(content.decode("utf-8", "replace"), "params.yaml")
    except Refused:
        return {}
    return values if isinstance(values, dict) else {}


def _typed(value: Any) -> str:
    """Return a value as `-S` takes it."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w/.-]*", value)
    return str(value) if plain and whole.parse(value, "a value") == value else json.dumps(value)
