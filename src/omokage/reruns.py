"""Which stages a change of each parameter reruns: a consequence of dvc.yaml, written into the README by `make deps`.

python -m omokage.reruns README.md
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from omokage import pipeline
from omokage.pipeline import Stage

BEGIN, END = "<!-- reruns: written by `make deps` -->", "<!-- end of reruns -->"


def reruns(stages: Mapping[str, Stage]) -> dict[str, list[str]]:
    """Return for every parameter the stages that rerun when it changes, in the order of dvc.yaml.

    These are the stages that declare it and all that depend on them. `params` always runs, since it checks the whole
    file, but what it writes is a constant.
    """
    keys = [key for stage in stages.values() for key in stage.params or ()]
    return {key: _touched(stages, key) for key in dict.fromkeys(keys)}


def _touched(stages: Mapping[str, Stage], key: str) -> list[str]:
    touched: list[str] = []
    for name, stage in stages.items():
        before = [other for other in pipeline.upstream(stages, name) if other in touched and other != "params"]
        if stage.params is None or key in stage.params or before:
            touched.append(name)
    return touched


def table(stages: Mapping[str, Stage]) -> str:
    """Return the same as a Markdown table, one row for all parameters that rerun the same stages."""
    columns = [name for name in stages if name != "params"]
    rows: dict[tuple[str, ...], list[str]] = {}
    for key, touched in reruns(stages).items():
        rows.setdefault(tuple(touched), []).append(f"`{key}`")
    lines = [f"| a change of | {' | '.join(columns)} |", f"|---|{':-:|' * len(columns)}"]
    for stops, names in rows.items():
        marks = " | ".join("●" if column in stops else "" for column in columns)
        lines.append(f"| {', '.join(names)} | {marks} |")
    return "\n".join(lines)


def rewrite(readme: Path) -> str:
    """Return the text of the README with the table as it should be."""
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table(pipeline.read(readme.resolve().parent))}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(rewrite(path), encoding="utf-8")
