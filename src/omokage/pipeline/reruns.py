"""Find which stages a change of each parameter, file or folder reruns, according to dvc.yaml."""

from collections.abc import Mapping

from omokage.pipeline.code import is_declared
from omokage.pipeline.graph import CODE, Stage, find_with_downstream

BULLET = "●"


def find_reruns(stages: Mapping[str, Stage]) -> dict[str, list[str]]:
    """Return for every parameter the stages that rerun when it changes, in the order of dvc.yaml.

    These are the stages that declare the parameter, and all stages downstream of them. The stage `params` reruns for
    every parameter, since it checks the whole file. Its output is a constant, so no stage reruns because `params` does.
    """
    keys = dict.fromkeys(key for stage in stages.values() for key in stage.params or ())
    return {
        key: find_with_downstream(stages, {name for name, stage in stages.items() if key in (stage.params or (key,))})
        for key in keys
    }


def find_code_reruns(stages: Mapping[str, Stage]) -> dict[str, list[str]]:
    """Return for every file or folder of code in dvc.yaml the stages that rerun when a file in it changes.

    If some stage declares a single file of a folder, that file has its own entry. The entry of the folder then holds
    for its other files.
    """
    deps = dict.fromkeys(dep for stage in stages.values() for dep in stage.code)
    return {
        dep: find_with_downstream(stages, {name for name, stage in stages.items() if is_declared(dep, stage.code)})
        for dep in deps
    }


def render_table(stages: Mapping[str, Stage]) -> str:
    """Return a Markdown table of the stages that parameters rerun; equal rows are merged."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for key, affected in find_reruns(stages).items():
        rows.setdefault(tuple(affected), []).append(f"`{key}`")
    return _render({", ".join(names): affected for affected, names in rows.items()}, stages)


def render_code_table(stages: Mapping[str, Stage]) -> str:
    """Return a Markdown table of the stages that code files and folders rerun; equal rows are merged."""
    reruns = {dep.removeprefix(f"{CODE}omokage/"): affected for dep, affected in find_code_reruns(stages).items()}
    rows: dict[tuple[str, ...], list[str]] = {}
    for dep, affected in reruns.items():
        rows.setdefault(tuple(affected), []).append(f"`{dep}`")
    return _render({", ".join(deps): affected for affected, deps in rows.items()}, stages)


def _render(rows: Mapping[str, tuple[str, ...]], stages: Mapping[str, Stage]) -> str:
    columns = [name for name in stages if name != "params"]
    lines = [f"| a change of | {' | '.join(columns)} |", f"|---|{':-:|' * len(columns)}"]
    for label, affected in rows.items():
        lines.append(f"| {label} | {' | '.join(BULLET if column in affected else '' for column in columns)} |")
    return "\n".join(lines)
