"""Check params.yaml against the schema of all stages, and write params.yaml with its comments."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from omokage.base.files import write_text
from omokage.config.parameters import DESCRIPTIONS
from omokage.config.validation import validate
from omokage.config.yaml_file import load_yaml
from omokage.params.schema import PARTS, Params

HEADING = """\
Parameters of this run, one per line, grouped by stage. `dvc repro` reruns only the stages that a change affects.
`dvc exp run -S lr=1e-4` sets one from the command line. `omokage presets` lists ready-made sets.
`make deps` rewrites the comments and adds missing parameters, both from src/omokage/config/parameters.py."""


def check_params(values: Mapping[str, Any], name: str = "params.yaml") -> Params:
    """Return `values`, checked against the schema of all stages; messages name the file `name`.

    Raises UserError listing every wrong key, its value and what was expected.
    """
    return validate(Params, values, name)


def render_params(values: Mapping[str, Any]) -> str:
    """Return `values` as the text of params.yaml: with comments, each under the first stage that declares it.

    A list has a line for each item, as DVC writes it, so that `dvc exp run -S` changes only the lines that it must.
    """
    lines = [f"# {line}".rstrip() for line in HEADING.splitlines()]
    remaining = dict(values)
    for stage, part in PARTS.items():
        keys = [key for key in part.model_fields if key in remaining]
        lines += ["", f"# {stage}"] if keys else []
        for key in keys:
            value, comment = remaining.pop(key), f"  # {render_comment(key)}"
            if isinstance(value, list) and value:
                lines += [f"{key}:{comment}", *(f"- {render_value(item)}" for item in value)]
            else:
                lines.append(f"{key}: {render_value(value)}{comment}")
    return "\n".join(lines) + "\n"


def render_value(value: Any) -> str:
    """Return a value as YAML on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = True, 10_000
    text = io.StringIO()
    yaml.dump([value], text)
    return text.getvalue().strip()[1:-1]


def render_comment(key: str) -> str:
    """Return the comment of a parameter: its meaning, after a list of its choices if the meaning does not name them."""
    meaning = DESCRIPTIONS[key].meaning
    choices = Params.model_json_schema()["properties"][key].get("enum", [])
    prefix = f"{' | '.join(map(str, choices))}: " if choices and not all(str(c) in meaning for c in choices) else ""
    return prefix + meaning


def default_params() -> dict[str, Any]:
    """Return the default of every parameter; the preset `laptop` has the same values."""
    return {key: description.default for key, description in DESCRIPTIONS.items()}


def rewrite_params(path: Path) -> None:
    """Rewrite the comments of params.yaml and add missing parameters with their defaults; existing values stay."""
    write_text(path, render_params(check_params(default_params() | load_yaml(path), path.name).values()))
