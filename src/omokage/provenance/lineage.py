"""Find the parameters, code, packages and data behind an identified file, and what has changed since its run."""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from omokage.base.checkout import REMOTE
from omokage.base.errors import UserError
from omokage.base.files import hash_bytes, hash_tree
from omokage.base.json_file import parse_json
from omokage.config.renamed import rename_parameters, rename_runs
from omokage.config.yaml_file import load_yaml
from omokage.pipeline import graph
from omokage.pipeline.dvc_lock import hash_md5
from omokage.provenance.history import WORKSPACE, History, Revision
from omokage.provenance.identify import Identification
from omokage.provenance.locked_runs import trace_entries
from omokage.provenance.stamped_files import COMMANDS, read_stored
from omokage.stamps.records import USER_FILES, Record

REPORT = "results/report.md"
# All scores of a run. Older revisions have them in metrics.json.
SCORES, METRICS, SAMPLES = "results/scores.json", "results/metrics.json", "results/samples.safetensors"
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")  # as in dvc.lock; stamps have sha256s


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
            return location.path, location.stage
        names = {self.stamp.get("figure"), self.stamp.get("report")} - {None}
        outputs = [(out, name) for name, stage in self.stages.items() for out in stage.outs]
        return next((item for item in outputs if names & {Path(item[0]).name, item[0].rpartition(".")[0]}), ("", ""))

    @cached_property
    def revisions(self) -> list[Revision]:
        """The revisions that have the file: the workspace, then experiments, then commits from new to old."""
        return list(dict.fromkeys(location.revision for location in self.identification.locations))

    @cached_property
    def params(self) -> dict[str, dict[str, Any]]:
        """The parameters behind the file, by the first stage that declares them or by the command that wrote it."""
        own = self.stamp[self.command] if self.command else rename_parameters(self.stamp.get("params", {}))
        order = {name: number for number, name in enumerate(self.stages)}
        upstream = sorted(self.runs, key=lambda name: order.get(name, -1))
        stages = {name: self.runs[name]["params"] for name in upstream} | (
            {} if self.command else {self.output[1]: own}
        )
        listed: set[str] = set()
        params = {}
        for name, values in stages.items():
            params[name] = {key: value for key, value in values.items() if key not in listed}
            listed |= values.keys()
        # The options of a command may have the names of parameters.
        params |= {self.command: own} if self.command else {}
        return {name: values for name, values in params.items() if values}

    @cached_property
    def changed_params(self) -> dict[str, tuple[Any, Any]]:
        """The parameters that differ in params.yaml, as (recorded value, current value). None means removed."""
        return self.compare_params(self._current_params)

    @cached_property
    def code_hashes(self) -> dict[str, str]:
        """The sha256 of every code file that the runs loaded, or the MD5 of every folder of code, by path."""
        runs = (self.stamp, *self.runs.values())
        return dict(sorted({path: digest for run in runs for path, digest in run.get("code", {}).items()}.items()))

    @cached_property
    def changed_code(self) -> list[str]:
        """The code files or folders that differ in the workspace or are missing from it."""
        return [path for path, digest in self.code_hashes.items() if not self.has_file(WORKSPACE, path, digest)]

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
        facts = self.runs.get("download", {}).get("facts") or self._facts_in_report()
        return {key: facts[key] for key in ("name", "version", "pictures") if facts.get(key)}

    def _facts_in_report(self) -> dict[str, Any]:
        """Return the facts of the download in the stamp of the report, for a file without a stamp; {} if unknown."""
        if "download" not in self.runs or not self.identification.locations:
            return {}
        revision = self.identification.locations[0].revision
        locks = self.history.locks(revision)
        with suppress(UserError, LookupError):
            signature, stamp = read_stored(self.history.list_files(revision, REPORT)[0])
            is_listed = signature.md5 == locks["report"]["outs"][REPORT]
            if stamp and is_listed and "download" in trace_entries(locks, locks["report"]["deps"]):
                return dict(stamp["runs"]["download"]["facts"])
        return {}

    @cached_property
    def user_images_changed(self) -> bool:
        """Whether the user's own images, which git does not track, differ from those of the run."""
        run = self.runs.get("download")
        return run is not None and run["params"].get("source") == "folder" and self._has_changed_file(run, "download")

    @cached_property
    def initial_model_changed(self) -> bool:
        """Whether the content of the model file from which the training started has changed under the same name."""
        run = self.runs.get("train") or (self.stamp if self.output[1] == "train" else None)
        if run is None or run.get("params", {}).get("init_from") != self._current_params.get("init_from"):
            return False  # another name is a changed parameter
        return self._has_changed_file(run, "train")

    def _has_changed_file(self, run: Mapping[str, Any], stage: str) -> bool:
        """Return whether the user's file or folder that `run`, a run of the stage, has read is no longer the same."""
        recorded = run["deps"].get(USER_FILES[stage])
        if recorded is None or stage not in self.stages:
            return False
        if USER_FILES[stage] not in self._current_params:
            return True
        declared = next(dep for dep in self.stages[stage].deps if dep.startswith(REMOTE))
        place = graph.locate(self.history.root, declared, self._current_params)
        return not place.exists() or (hash_md5 if MD5.fullmatch(str(recorded)) else hash_tree)(place) != recorded

    @cached_property
    def scores(self) -> dict[str, Any]:
        """The scores of the samples behind the file, from the first revision that has the file; {} if unknown."""
        if not self.identification.locations or "sample" not in self.runs:
            return {}
        revision, stage, _, _ = self.identification.locations[0]
        locks = self.history.locks(revision)
        try:
            sample = trace_entries(locks, locks[stage]["deps"]).get("sample")
        except UserError:
            return {}
        scores = locks.get("evaluate", {"deps": {}, "outs": {}})
        path = SCORES if SCORES in scores["outs"] else METRICS
        content = self.history.read(revision, path)
        is_theirs = sample and scores["deps"].get(SAMPLES) == sample["outs"].get(SAMPLES)
        if not is_theirs or content is None or hashlib.md5(content).hexdigest() != scores["outs"].get(path):
            return {}
        return dict(parse_json(content, path))

    @cached_property
    def _current_params(self) -> dict[str, Any]:
        """The parameters in params.yaml, under their current names."""
        place = self.history.root / "params.yaml"
        return rename_parameters(load_yaml(place)) if place.is_file() else {}

    def compare_params(self, values: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return the recorded parameters that differ from `values`, as (recorded value, value in `values` or None)."""
        recorded = {key: old for name, part in self.params.items() if name != self.command for key, old in part.items()}
        return {key: (old, values.get(key)) for key, old in recorded.items() if values.get(key) != old}

    def has_file(self, revision: Revision, path: str, digest: str) -> bool:
        """Return whether a file in a revision has this sha256, or a file or folder of code this MD5."""
        if MD5.fullmatch(str(digest)):
            is_code = path.startswith((graph.CODE, graph.PACKAGES)) and ".." not in path
            return is_code and self.history.hash_md5(revision, path) == digest
        content = self.history.read(revision, path)
        return content is not None and hash_bytes(content) == digest
