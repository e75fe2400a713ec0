"""All that a stage is handed: its declared parameters, inputs and outputs, and a place for partial work."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

P = TypeVar("P")


@dataclass(frozen=True)
class Job(Generic[P]):
    """One run of one stage.

    `inputs` and `outputs` map the paths declared in dvc.yaml to where they lie. An output lies under a temporary name
    until the stage has succeeded; live ones are written in place, for others to watch. `work` is a folder outside the
    workspace named after this run's fingerprint: only the very same run finds it again. `deps` and `code` are the
    sha256 of the inputs and of the project's files, `packages` the versions of the distributions that the run is keyed
    by. `facts` are what the stage says about how it ran (device, precision); they go into its record.
    """

    params: P
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    work: Path
    threads: int
    deps: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def input(self, path: str) -> Path:
        """Return where the declared input lies; raise KeyError for a path the stage does not declare."""
        return self._declared(self.inputs, path, "deps")

    def output(self, path: str) -> Path:
        """Return where to write the declared output; raise KeyError for a path the stage does not declare."""
        return self._declared(self.outputs, path, "outs, metrics or plots")

    def at(self, work: Path) -> "Job[P]":
        """Return the same job with its partial work in `work`."""
        return replace(self, work=work)

    @staticmethod
    def _declared(paths: Mapping[str, Path], path: str, kind: str) -> Path:
        if path not in paths:
            raise KeyError(f"{path} is not declared by this stage: add it to its {kind} in dvc.yaml")
        return paths[path]
