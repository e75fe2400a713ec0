"""Render docs/reference/parameters.md: type, range, default, presets, meaning and other names of every parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

from omokage.config.other_names import OTHER_NAMES
from omokage.config.parameters import DESCRIPTIONS
from omokage.config.params_file import render_value
from omokage.config.presets import Preset, combine_presets
from omokage.config.renamed import PARAMETERS
from omokage.params.schema import PARTS, Params

INTRODUCTION = """\
# Parameters

Every parameter of [`params.yaml`](../../params.yaml): its type and range, its default, and the stages that run again
when it changes. To set a parameter, edit its line, or name it on the command line: `dvc exp run -S lr=1e-4`.

- Each parameter is listed under the first stage that reads it.
- A preset is a named set of parameters: `omokage presets` lists all. The [files](../../workflow/presets) give the
  reason for each value.
- A value out of its range stops the run with a message that says what to change. So do values that contradict each
  other.
- [What reruns](reruns.md) shows all parameters and stages in one table.
- `make deps` writes this page from `src/omokage/params` (types and ranges) and `src/omokage/config` (defaults,
  meanings, other names).

All parameters, by stage:
"""
OTHER_NAMES_TABLE = """\
## Names in other projects

The names of these parameters in [diffusers](https://github.com/huggingface/diffusers), in
[EDM2](https://github.com/NVlabs/edm2) and in papers. A parameter that is not listed has no counterpart. An empty cell
means none.

| parameter | diffusers | EDM2 | papers |
|---|---|---|---|"""
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


def render_parameters(reruns: Mapping[str, Sequence[str]], presets: Mapping[str, Preset]) -> str:
    """Return the page: a section for each parameter, by stage, and a table of the names in other projects.

    `reruns` maps each parameter to the stages that run again when it changes.
    """
    fields: dict[str, Any] = Params.model_json_schema()["properties"]
    old_names = {new: old for old, new in PARAMETERS.items()}
    keys_by_stage = group_by_stage()
    index = [
        f"- [{stage}](#{stage}): {', '.join(f'[{key}](#{key})' for key in keys)}"
        for stage, keys in keys_by_stage.items()
    ]
    lines = [INTRODUCTION, *index]
    for stage, keys in keys_by_stage.items():
        lines += ["", f"## {stage}"]
        for key in keys:
            facts = {
                "Meaning": DESCRIPTIONS[key].meaning,
                "Type and range": describe_values(fields[key]),
                "Default": f"`{render_value(DESCRIPTIONS[key].default)}`",
                "Presets": describe_presets(key, presets),
                "Reruns": ", ".join(name for name in reruns[key] if name != "params"),
                "Name before 0.2": f"`{old_names[key]}`" if key in old_names else "",
            }
            lines += ["", f"### {key}", "", *(f"- **{name}:** {fact}" for name, fact in facts.items() if fact)]
    lines += ["", OTHER_NAMES_TABLE]
    for key, names in OTHER_NAMES.items():
        cells = [f"[`{key}`](#{key})", names.diffusers, names.edm2, names.papers]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def group_by_stage() -> dict[str, list[str]]:
    """Return the parameters under the first stage that declares them; a stage without any is left out."""
    groups: dict[str, list[str]] = {}
    listed = set[str]()
    for stage, part in PARTS.items():
        if keys := [key for key in part.model_fields if key not in listed]:
            groups[stage] = keys
            listed.update(keys)
    return groups


def describe_values(field: Mapping[str, Any]) -> str:
    """Return the allowed values of a JSON-schema field as text: its choices, or its type and limits."""
    if "enum" in field:
        return f"one of {', '.join(f'`{choice}`' for choice in field['enum'])}"
    limits = [text.format(field[keyword]) for keyword, text in LIMITS.items() if keyword in field]
    if field["type"] == "array":
        return f"{', '.join(['list', *limits])}; each value: {describe_values(field['items'])}"
    return ", ".join([field["type"], *limits])


def describe_presets(key: str, presets: Mapping[str, Preset]) -> str:
    """Return the values that presets give to a parameter, each with the presets; "" if there are none.

    A preset that combines others is named only for the values that those do not set.
    """
    names_by_value: dict[str, list[str]] = {}
    for name, preset in presets.items():
        inherited = combine_presets(presets, preset.combines)
        if key in preset.params and preset.params[key] != inherited.get(key):
            names_by_value.setdefault(render_value(preset.params[key]), []).append(name)
    return "; ".join(f"`{value}` in {', '.join(names)}" for value, names in names_by_value.items())
