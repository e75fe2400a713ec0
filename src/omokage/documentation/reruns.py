"""Render docs/reference/reruns.md: which stages run again when a parameter, a file or a folder of code changes."""

from collections.abc import Mapping, Sequence

from omokage.pipeline.graph import CODE, Stage
from omokage.pipeline.reruns import find_code_reruns, find_reruns

BULLET = "●"
PAGE = """\
# What reruns

The stages that run again when a parameter changes, and when the code changes. [`dvc.yaml`](../../dvc.yaml) declares
what each stage depends on, and `make deps` writes this page from it. A test changes every parameter and compares.

- `omokage plan -S lr=1e-4` lists the stages for the present state of a checkout, with their times.
- If a stage's output does not change, DVC skips the stages after it, so fewer may run.
- A row without a mark reruns only the stage `params`, which checks `params.yaml` within a second.
- A new version of a package reruns the stages that use it. [`workflow/packages`](../../workflow/packages) lists them.

## When a parameter changes

{parameters}

## When code changes

Paths are relative to `src/omokage`. A file with a row of its own counts there, and not in the row of its folder.

{code}
"""


def render_reruns(stages: Mapping[str, Stage]) -> str:
    """Return the page, with one table for parameters and one for code."""
    parameters = {f"[`{key}`](parameters.md#{key})": affected for key, affected in find_reruns(stages).items()}
    code = {f"`{dep.removeprefix(f'{CODE}omokage/')}`": affected for dep, affected in find_code_reruns(stages).items()}
    return PAGE.format(parameters=render_table(parameters, stages), code=render_table(code, stages))


def render_table(reruns: Mapping[str, Sequence[str]], stages: Mapping[str, Stage]) -> str:
    """Return a Markdown table of the stages that each label in `reruns` affects; equal rows are merged."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for label, affected in reruns.items():
        rows.setdefault(tuple(affected), []).append(label)
    columns = [name for name in stages if name != "params"]
    lines = [f"| a change of | {' | '.join(columns)} |", f"|---|{':-:|' * len(columns)}"]
    for affected, labels in rows.items():
        marks = [BULLET if column in affected else "" for column in columns]
        lines.append(f"| {', '.join(labels)} | {' | '.join(marks)} |")
    return "\n".join(lines)
