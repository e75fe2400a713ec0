"""The argument of every stage: a Job with the stage's declared parameters, inputs and outputs, and a work folder."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

P = TypeVar("P")


@dataclass(frozen=True)
class Job(Generic[P]):
    """One run of one stage.

    `inputs` and `outputs` map the paths declared in dvc.yaml to the paths at which to read and write. An output has a
    temporary path until the stage has succeeded. Live outputs are an exception: they are written in place, so that the
    user can watch them during the run. `work` is a folder for partial results, outside the workspace. Its name contains
    a fingerprint (a hash of parameters, inputs, code and packages), so that only a run with the same fingerprint reuses
    its content. `threads` is the number of CPU threads or worker processes.

    `deps` maps each input to its sha256. `code` does so for each file of the declared code, and `code_deps` for each
    entry (file or folder) in the declaration. `packages` maps the distributions in workflow/packages/STAGE.txt to their
    versions. The stage adds to `facts` what is known only after the run, such as the device. The runner writes all of
    this to the stage's run record, results/runs/STAGE.json, but of `code` only the files that were loaded.
    """

    params: P
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    work: Path
    threads: int
    deps: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    code_deps: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def input(self, path: str) -> Path:
        """Return the path from which to read the declared input `path`.

        Raises KeyError if dvc.yaml does not declare the input for this stage.
        """
        return self._find(self.inputs, path, "deps")

    def output(self, path: str) -> Path:
        """Return the path at which to write the declared output `path`.

        Raises KeyError if dvc.yaml does not declare the output for this stage.
        """
        return self._find(self.outputs, path, "outs, metrics or plots")

    def with_work_folder(self, work: Path) -> "Job[P]":
        """Return a copy of the job with `work` as its work folder."""
        return replace(self, work=work)

    def loaded_code(self) -> dict[str, str]:
        """Return the path and sha256 of each declared code file that this process has loaded.

        Files that are not Python modules, such as templates, always count as loaded.
        """
        return {path: digest for path, digest in self.code.items() if _is_loaded(PurePosixPath(path))}

    @staticmethod
    def _find(paths: Mapping[str, Path], path: str, kind: str) -> Path:
        if path not in paths:
            raise KeyError(f"{path} is not declared by this stage: add it to the stage's {kind} in dvc.yaml")
        return paths[path]


def _is_loaded(path: PurePosixPath) -> bool:
    return path.suffix != ".py" or ".".join(path.with_suffix("").parts[1:]) in sys.modules
