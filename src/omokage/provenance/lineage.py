"""Find the parameters, code, packages and data behind an identified file, and the commands that reproduce the file.

A comparison with the workspace shows what has changed since the run.
"""

import json
import re
import shlex
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from omokage.base.checkout import REMOTE
from omokage.base.errors import UserError
from omokage.base.files import hash_bytes, hash_tree
from omokage.config.renamed import STAGES, rename_parameters, rename_runs
from omokage.config.yaml_file import parse_yaml
from omokage.pipeline import graph
from omokage.provenance.history import WORKSPACE, History, Revision
from omokage.provenance.identify import COMMANDS, Identification
from omokage.stamps.records import Record

METRICS, SAMPLES = "results/metrics.json", "results/samples.safetensors"
# The options of `omokage transform` that change its result, by method. The stamp uses the same names.
TRANSFORM_OPTIONS = {
    "vary": ("strength", "count", "sampler", "seed", "steps"),
    "roundtrip": ("steps",),
    "between": ("count", "steps"),
}


class Lineage:
    """The runs behind an identified file, under the current names of stages and parameters.

    A property `changed_*` lists differences between these runs and the workspace. Files are read when a property is
    first used.
    """

    def __init__(self, history: History, identification: Identification) -> None:
        self.history, self.identification = history, identification
        self.stamp = identification.stamp
        self.runs: Mapping[str, Record] = rename_runs(self.stamp.get("runs", {}))
        self.stages = graph.read_stages(history.root) if (history.root / "dvc.yaml").is_file() else {}

    @cached_property
    def command(self) -> str | None:
        """The key in COMMANDS of the command that wrote the file, or None if a stage wrote it."""
        return next((key for key in COMMANDS if key in self.stamp), None)

    @cached_property
    def output(self) -> tuple[str, str]:
        """The path and the stage of the output that the file is, or was before an edit. Both are "" if unknown."""
        if self.command:
            return "", ""
        if self.identification.locations:
            location = self.identification.locations[0]
            return location.path, STAGES.get(location.stage, location.stage)
        names = {self.stamp.get("figure"), self.stamp.get("report")} - {None}
        outputs = [(out, name) for name, stage in self.stages.items() for out in stage.outs]
        return next((item for item in outputs if names & {Path(item[0]).name, item[0].rpartition(".")[0]}), ("", ""))

    @cached_property
    def revisions(self) -> list[Revision]:
        """The revisions that have the file: the workspace, then experiments, then commits from new to old."""
        return list(dict.fromkeys(location.revision for location in self.identification.locations))

    @cached_property
    def params(self) -> dict[str, dict[str, Any]]:
        """The parameters behind the file, by stage or by the command that wrote it."""
        own = self.stamp[self.command] if self.command else rename_parameters(self.stamp.get("params", {}))
        order = {name: number for number, name in enumerate(self.stages)}
        upstream = sorted(self.runs, key=lambda name: order.get(name, -1))
        params = {**{name: self.runs[name]["params"] for name in upstream}, self.command or self.output[1]: own}
        return {name: values for name, values in params.items() if values}

    @cached_property
    def changed_params(self) -> dict[str, tuple[Any, Any]]:
        """The parameters that differ in params.yaml, as (recorded value, current value). None means removed."""
        return self._compare_params(self._current_params)

    @cached_property
    def code_hashes(self) -> dict[str, str]:
        """The sha256 of every code file that the runs loaded, by path."""
        runs = (self.stamp, *self.runs.values())
        return dict(sorted({path: digest for run in runs for path, digest in run.get("code", {}).items()}.items()))

    @cached_property
    def changed_code(self) -> list[str]:
        """The code files that differ in the workspace or are missing from it."""
        return [path for path, digest in self.code_hashes.items() if not self._holds(WORKSPACE, path, digest)]

    @cached_property
    def changed_packages(self) -> dict[str, tuple[str, str | None]]:
        """The packages pinned to another version now, as (recorded version, current version). None means unused."""
        recorded = {self.output[1]: self.stamp.get("packages", {})}
        recorded |= {name: run["packages"] for name, run in self.runs.items()}
        root = self.history.root
        pinned = {name: graph.read_packages(root, self.stages[name]) for name in recorded if name in self.stages}
        return {
            package: (version, pinned[name].get(package))
            for name, versions in recorded.items()
            for package, version in versions.items()
            if name in pinned and pinned[name].get(package) != version
        }

    @cached_property
    def data(self) -> dict[str, Any]:
        """The `name` and `version` of the data set, and `pictures`, its number of images."""
        facts = self.runs.get("download", {}).get("facts", {})
        return {key: facts[key] for key in ("name", "version", "pictures") if facts.get(key)}

    @cached_property
    def user_images_changed(self) -> bool:
        """Whether the user's own images, which git does not track, differ from those of the run."""
        run = self.runs.get("download", {"deps": {}, "params": {}})
        recorded = run["deps"].get("folder")
        if recorded is None or run["params"].get("source") != "folder" or "download" not in self.stages:
            return False
        if "folder" not in self._current_params:
            return True
        folder = next(dep for dep in self.stages["download"].deps if dep.startswith(REMOTE))
        place = graph.locate(self.history.root, folder, self._current_params)
        return not place.exists() or hash_tree(place) != recorded

    @cached_property
    def scores(self) -> dict[str, Any]:
        """The scores of the samples behind the file, from the first revision that has the file; {} if unknown."""
        if not self.revisions or "sample" not in self.runs:
            return {}
        record = self.history.records(self.revisions[0]).get("evaluate", {"deps": {}, "outs": {}})
        content = self.history.read(self.revisions[0], METRICS)
        is_theirs = record["deps"].get(SAMPLES) == self.runs["sample"].get("outs", {}).get(SAMPLES)
        is_recorded = content is not None and record["outs"].get(METRICS) == hash_bytes(content)
        return json.loads(content) if content and is_theirs and is_recorded else {}

    @cached_property
    def reproduce_commands(self) -> list[str]:
        """Alternative commands that reproduce the file, the most reliable first; [] if there are none."""
        if self.command == "compare":
            return self._compare_commands()
        commands = self._pipeline_commands()
        if self.command == "transform":
            return [f"{command} && {_transform_command(self.stamp['transform'])}" for command in commands]
        return commands

    def _pipeline_commands(self) -> list[str]:
        """Return alternative commands that reproduce the output, or the model that `omokage transform` used."""
        experiments = [f"dvc exp apply {found.name}" for found in self.revisions if found.kind == "experiment"][:1]
        if self.user_images_changed:
            return experiments
        commands = []
        if self.code_hashes and not (self.changed_params or self.changed_code or self.changed_packages):
            commands.append("dvc repro")
        commands += experiments
        # The oldest commit comes first: it is the one that added the file.
        commits = [revision for revision in reversed(self.revisions) if revision.kind == "commit"]
        if found := next((commit for commit in commits if self._can_reproduce(commit)), None):
            commands.append(f"git checkout {found.name} && dvc repro")
        if self.changed_params and not (self.changed_code or self.changed_packages):
            settings = [
                f"-S {shlex.quote(f'{key}={_as_setting(old)}')}" for key, (old, _) in self.changed_params.items()
            ]
            commands.append(f"dvc exp run {' '.join(settings)}")
        return commands

    def _compare_commands(self) -> list[str]:
        """Return the `omokage compare` command, or [] if a compared revision no longer has the same tables."""
        names, tables = self.stamp["compare"].get("runs", ()), self.stamp.get("deps", {})
        try:
            revisions = {name: self.history.revision(name) for name in names}
            is_same = all(
                self._holds(revision, path, digest)
                for name, revision in revisions.items()
                for path, digest in tables[name].items()
            )
        except (UserError, AttributeError, KeyError, TypeError, ValueError):  # an unknown revision, a malformed stamp
            return []
        return [f"omokage compare {' '.join(map(shlex.quote, names))}"] if names and is_same else []

    @cached_property
    def _current_params(self) -> dict[str, Any]:
        return _parse_params(self.history.read(WORKSPACE, "params.yaml"))

    def _compare_params(self, values: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return the recorded parameters that differ from `values`, as (recorded value, value in `values` or None)."""
        recorded = {key: old for name, part in self.params.items() if name != self.command for key, old in part.items()}
        return {key: (old, values.get(key)) for key, old in recorded.items() if values.get(key) != old}

    def _holds(self, revision: Revision, path: str, digest: str) -> bool:
        """Return whether the file at `path` in a revision has the sha256 `digest`."""
        content = self.history.read(revision, path)
        return content is not None and hash_bytes(content) == digest

    def _can_reproduce(self, commit: Revision) -> bool:
        """Return whether a commit has the parameters and code of the runs."""
        values = _parse_params(self.history.read(commit, "params.yaml"))
        return not self._compare_params(values) and all(
            self._holds(commit, path, digest) for path, digest in self.code_hashes.items()
        )


def _parse_params(content: bytes | None) -> dict[str, Any]:
    """Return the parameters in a params.yaml under their current names, or {} if the file is missing or malformed."""
    try:
        values = parse_yaml((content or b"").decode("utf-8", "replace"), "params.yaml")
    except UserError:
        return {}
    return rename_parameters(values) if isinstance(values, dict) else {}


def _transform_command(request: Mapping[str, Any]) -> str:
    """Return the `omokage transform` command for the request in a stamp. The stamp does not name the user's images."""
    method = str(request.get("how", ""))
    options = [
        f"--{key} {shlex.quote(str(request[key]))}" for key in TRANSFORM_OPTIONS.get(method, ()) if key in request
    ]
    return " ".join(["omokage transform", shlex.quote(method), "IMAGE ...", *options])


def _as_setting(value: Any) -> str:
    """Return a value as text for KEY=VALUE in `dvc exp run -S`."""
    if isinstance(value, list):
        return f"[{','.join(map(_as_setting, value))}]"
    is_plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w/.-]*", value)
    return str(value) if is_plain and parse_yaml(value, "a value") == value else json.dumps(value)
