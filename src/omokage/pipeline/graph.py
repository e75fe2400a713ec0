"""Read dvc.yaml: the stages, their dependencies and outputs, and the paths of those files."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from omokage.base.checkout import REMOTE, find_main_checkout
from omokage.base.errors import UserError
from omokage.config.yaml_file import load_yaml
from omokage.stamps.records import record_path

CODE, PACKAGES = "src/", "workflow/packages/"

T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml. Paths are relative to the checkout.

    `params` is None if the stage depends on all parameters. `outs_in_git` are the outputs with `cache: false`, which
    git stores. `skips_run_cache` is true if such an output is neither a metric nor a plot, since DVC then saves no run
    of the stage to its run-cache. `description` is a phrase.
    """

    name: str
    description: str
    params: tuple[str, ...] | None
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    outs_in_git: tuple[str, ...]
    skips_run_cache: bool

    @property
    def record(self) -> str:
        """The path of the stage's run record, which is the last output to be written."""
        return record_path(self.name)

    @property
    def code(self) -> tuple[str, ...]:
        """The deps that are files or folders of the project's code."""
        return tuple(dep for dep in self.deps if dep.startswith(CODE))

    @property
    def packages(self) -> str:
        """The path of the stage's package list: the distributions, with versions, that can change the outputs."""
        return f"{PACKAGES}{self.name}.txt"

    @property
    def data(self) -> tuple[str, ...]:
        """The deps that are neither code nor the package list."""
        return tuple(dep for dep in self.deps if not dep.startswith(CODE) and dep != self.packages)

    def select_params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of `values`, the parameters of all stages, that this stage declares."""
        return dict(values) if self.params is None else {key: values[key] for key in self.params}


def read_stages(root: Path) -> dict[str, Stage]:
    """Return the stages of the checkout's dvc.yaml, by name, in the order of the file.

    Stages that a user has added are left out. They have another command than `sh workflow/stage NAME`, or several, and
    only DVC runs them.
    """
    return _read_dvc_yaml(
        root,
        lambda declared: {
            name: _read_stage(name, entry) for name, entry in declared.items() if is_own(name, entry.get("cmd"))
        },
    )


def list_stage_names(root: Path) -> list[str]:
    """Return the names of all stages in dvc.yaml, also of those that a user has added."""
    return _read_dvc_yaml(root, list)


def is_own(name: str, command: Any) -> bool:
    """Return whether a stage with this name and `command` (`cmd` in dvc.yaml and dvc.lock) belongs to the project."""
    return command == f"sh workflow/stage {name}"


def _read_dvc_yaml(root: Path, read: Callable[[Mapping[str, Any]], T]) -> T:
    """Return what `read` makes of the entries in dvc.yaml, by stage; raise UserError if the file is damaged."""
    try:
        return read(load_yaml(root / "dvc.yaml")["stages"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "dvc.yaml is cut off or damaged: correct it, or restore it with `git checkout -- dvc.yaml`"
        ) from error


def _read_stage(name: str, entry: Mapping[str, Any]) -> Stage:
    params = entry.get("params", [])
    plain, metrics, plots = (
        {path: options for out in entry.get(kind, []) for path, options in _add_options(out).items()}
        for kind in ("outs", "metrics", "plots")
    )
    outs = plain | metrics | plots
    return Stage(
        name=name,
        description=entry.get("desc", ""),
        params=None if any(isinstance(param, dict) for param in params) else tuple(params),
        deps=tuple(entry.get("deps", [])),
        outs=tuple(outs),
        outs_in_git=tuple(path for path, options in outs.items() if _is_in_git(options)),
        skips_run_cache=any(map(_is_in_git, plain.values())),
    )


def _add_options(out: str | dict[str, Any]) -> dict[str, Any]:
    return {out: {}} if isinstance(out, str) else out


def _is_in_git(options: Mapping[str, Any]) -> bool:
    return options.get("cache") is False


def find_upstream(stages: Mapping[str, Stage], name: str) -> list[str]:
    """Return the stages whose outputs `name` depends on, in the order of dvc.yaml."""
    return [stage.name for stage in stages.values() if set(stage.outs) & set(stages[name].deps)]


def find_with_downstream(stages: Mapping[str, Stage], names: Collection[str]) -> list[str]:
    """Return the stages `names` and all stages downstream of them, in the order of dvc.yaml.

    No stage counts as downstream of `params`, whose output is a constant.
    """
    found: list[str] = []
    for name in stages:
        upstream = {*find_upstream(stages, name)} - {"params"}
        if name in names or upstream & {*found}:
            found.append(name)
    return found


def locate(root: Path, path: str, values: Mapping[str, Any]) -> Path:
    """Return where `path`, as declared in dvc.yaml, lies on this machine.

    `root` is the checkout in which the stage runs: the user's clone, or the temporary copy in which DVC runs an
    experiment. Most paths lie in `root`. The user's own images (remote://checkout/...) always lie in the main checkout,
    the user's clone, because DVC does not copy them. `values` are the parameter values that replace `${...}` in
    `path`.
    """
    if not path.startswith(REMOTE):
        return root / path
    return find_main_checkout(root) / fill_in(path, values).removeprefix(REMOTE)


def fill_in(path: str, values: Mapping[str, Any]) -> str:
    """Return `path`, as declared in dvc.yaml, with `${parameter}` replaced by the parameter's value, as in dvc.lock."""
    return re.sub(r"\$\{(\w+)\}", lambda match: str(values[match[1]]), path)


def read_packages(root: Path, stage: Stage) -> dict[str, str]:
    """Return the version of each distribution in the stage's package list; empty if the list does not exist."""
    listing = root / stage.packages
    return parse_packages(listing.read_text(encoding="utf-8")) if listing.is_file() else {}


def parse_packages(text: str) -> dict[str, str]:
    """Return the version of each distribution in the text of a package list."""
    return dict(line.split("==") for line in text.split())
