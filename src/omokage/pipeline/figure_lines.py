"""The lines of dvc.yaml that follow from the registry of figures (`make deps` writes them).

They are the inputs and outputs of the stage `figures`, and the figures among the dependencies of the stage `report`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from omokage.base.errors import UserError
from omokage.config.yaml_file import parse_yaml
from omokage.figures.registry import FIGURES

FOLDER, RECORDS = "results/figures/", "results/runs/"


def rewrite_figures(text: str) -> str:
    """Return the `text` of dvc.yaml with these lines up to date.

    New lines follow the others of their kind. Lines that the registry no longer needs are removed.
    """
    tables = _list_plotted_tables(parse_yaml(text, "dvc.yaml")["stages"])
    # `dvc plots` draws a PNG or GIF under `plots`. It draws the charts of its own templates from their tables.
    is_plot = {name: not name.endswith(".svg") and PurePosixPath(name).stem not in tables for name in FIGURES}
    inputs = {declared.partition(":")[0]: "" for figure in FIGURES.values() for declared in figure.inputs}
    options = ": {cache: false}"
    outs, plots = ({f"{FOLDER}{name}": options for name in FIGURES if is_plot[name] == kind} for kind in (False, True))
    text = _rewrite_list(text, "figures", "deps", inputs, _is_result)
    text = _rewrite_list(text, "figures", "outs", outs, _is_figure)
    text = _rewrite_list(text, "figures", "plots", plots, _is_figure)
    return _rewrite_list(text, "report", "deps", {f"{FOLDER}{name}": "" for name in FIGURES}, _is_figure)


def _list_plotted_tables(stages: Mapping[str, Any]) -> set[str]:
    """Return the names, without suffix, of the tables for which dvc.yaml names a template of `dvc plots`."""
    plots = [plot for stage in stages.values() for plot in stage.get("plots", []) if isinstance(plot, dict)]
    return {PurePosixPath(path).stem for plot in plots for path, options in plot.items() if "template" in options}


def _is_figure(path: str) -> bool:
    return path.startswith(FOLDER)


def _is_result(path: str) -> bool:
    return path.startswith(("data/", "results/")) and not path.startswith(RECORDS)


def _rewrite_list(text: str, stage: str, key: str, wanted: Mapping[str, str], is_derived: Callable[[str], bool]) -> str:
    """Return `text` with the paths `wanted` in the list `key` of a stage; the values are what follows the path.

    Items for which `is_derived` is false, comments, and the order of the items stay the same.
    """
    pattern = rf"(^  {stage}:\n(?:    .*\n|\s*\n)*?    {key}:\n)((?:(?:     |    - |    #).*\n)+)"
    match = re.search(pattern, text, flags=re.MULTILINE)
    if not match:
        raise UserError(f"dvc.yaml: stage {stage} has no list {key}: restore it with `git checkout -- dvc.yaml`")
    items = match[2].splitlines(keepends=True)
    paths = [found[1] if (found := re.match(r"\s*- ([^\s:]+)", item)) else "" for item in items]
    indent = items[paths.index(next(filter(None, paths)))].partition("-")[0]
    new = [f"{indent}- {path}{options}\n" for path, options in wanted.items() if path not in paths]
    last = max((number for number, path in enumerate(paths) if is_derived(path)), default=len(items) - 1)
    kept = [[item] if not is_derived(path) or path in wanted else [] for path, item in zip(paths, items, strict=True)]
    kept[last] += new
    return text[: match.start(2)] + "".join(item for group in kept for item in group) + text[match.end(2) :]
