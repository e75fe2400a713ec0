"""Render docs/reference/parameters.md: default, allowed values, meaning and other names of every parameter."""

from typing import Any

from omokage.config.other_names import OTHER_NAMES, OtherNames
from omokage.config.parameters import DESCRIPTIONS
from omokage.config.params_file import render_value
from omokage.config.renamed import PARAMETERS
from omokage.params.schema import PARTS, Params

PATH = "docs/reference/parameters.md"
INTRODUCTION = """\
# Parameters

Every parameter of `params.yaml`, under the first stage that declares it. `make deps` writes this page from
`src/omokage/params` (types and ranges) and `src/omokage/config` (defaults, meanings, other names)."""
# JSON-schema keyword of a limit -> how the page writes the limit.
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
    "minLength": "length ≥ {}",
    "maxLength": "length ≤ {}",
    "minItems": "length ≥ {}",
    "maxItems": "length ≤ {}",
}


def render_reference() -> str:
    """Return the page: a table of parameters for each stage, and a table of their names in other projects."""
    fields: dict[str, Any] = Params.model_json_schema()["properties"]
    old_names = {new: old for old, new in PARAMETERS.items()}
    lines, written = [INTRODUCTION], set[str]()
    for stage, part in PARTS.items():
        keys = [key for key in part.model_fields if key not in written]
        written.update(keys)
        if keys:
            lines += ["", f"## {stage}", "", "| parameter | default | values | meaning |", "|---|---|---|---|"]
        for key in keys:
            old = f" (before 0.2: `{old_names[key]}`)" if key in old_names else ""
            cells = [f"`{key}`{old}", f"`{render_value(DESCRIPTIONS[key].default)}`", describe_values(fields[key])]
            lines.append(f"| {' | '.join(map(_escape, [*cells, DESCRIPTIONS[key].meaning]))} |")
    lines += ["", "## Names in other projects", "", "| parameter | diffusers | EDM2 | papers |", "|---|---|---|---|"]
    for key, names in OTHER_NAMES.items():
        lines.append(f"| {' | '.join(map(_escape, [f'`{key}`', *_list_names(names)]))} |")
    return "\n".join(lines) + "\n"


def describe_values(field: dict[str, Any]) -> str:
    """Return the allowed values of a JSON-schema field as text: its choices, or its type and limits."""
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    limits = [text.format(field[keyword]) for keyword, text in LIMITS.items() if keyword in field]
    if field["type"] == "array":
        return ", ".join([f"list of {describe_values(field['items'])}", *limits])
    return ", ".join([field["type"], *limits])


def _list_names(names: OtherNames) -> list[str]:
    return [names.diffusers, names.edm2, names.papers]


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")
