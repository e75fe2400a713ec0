"""Find which stages a change of each parameter, file or folder reruns, according to dvc.yaml."""

from collections.abc import Mapping

from omokage.pipeline.code import is_declared
from omokage.pipeline.graph import Stage, find_with_downstream


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
