"""Find the commands that reproduce an identified file."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from omokage.base.errors import UserError
from omokage.config.renamed import rename_parameters
from omokage.config.yaml_file import parse_yaml
from omokage.provenance.history import Revision
from omokage.provenance.lineage import Lineage

# The options of `omokage transform` that change its result, by method. The stamp uses the same names.
TRANSFORM_OPTIONS = {
    "vary": ("strength", "count", "sampler", "seed", "steps"),
    "roundtrip": ("steps",),
    "between": ("count", "steps"),
}


def find_commands(lineage: Lineage) -> list[str]:
    """Return alternative commands that reproduce the file, the most reliable first; [] if there are none."""
    if lineage.command == "compare":
        return _find_compare_commands(lineage)
    commands = _find_pipeline_commands(lineage, "train" if lineage.command else lineage.output[1])
    if lineage.command == "transform":
        return [f"{command} && {_render_transform(lineage.stamp['transform'])}" for command in commands]
    if lineage.command == "sample":
        return [f"{command} && {_render_sample(lineage.stamp['sample'])}" for command in commands]
    if lineage.command == "demo":
        return [f"{command} && omokage demo" for command in commands]
    return commands


def _find_pipeline_commands(lineage: Lineage, stage: str) -> list[str]:
    """Return alternative commands that make the outputs of `stage` again, and run no stage that these do not need."""
    experiments = [f"dvc exp apply {found.name}" for found in lineage.revisions if found.kind == "experiment"][:1]
    if lineage.user_images_changed or lineage.initial_model_changed or not lineage.code_hashes:
        return experiments
    commands = []
    if not (lineage.changed_params or lineage.changed_code or lineage.changed_packages):
        commands.append(f"dvc repro {stage}")
    commands += experiments
    # The oldest commit comes first: it is the one that added the file.
    commits = [revision for revision in reversed(lineage.revisions) if revision.kind == "commit"]
    if found := next((commit for commit in commits if _can_reproduce(lineage, commit)), None):
        commands.append(f"git checkout {found.name} && dvc repro")
    if lineage.changed_params and not (lineage.changed_code or lineage.changed_packages):
        old_values = {key: old for key, (old, _) in lineage.changed_params.items()}
        settings = [f"-S {shlex.quote(f'{key}={render_setting(value)}')}" for key, value in old_values.items()]
        commands.append(f"dvc exp run {' '.join(settings)} {stage}")
    return commands


def _can_reproduce(lineage: Lineage, commit: Revision) -> bool:
    """Return whether a commit has the parameters and code of the runs."""
    content = lineage.history.read(commit, "params.yaml") or b""
    try:
        values = parse_yaml(content.decode("utf-8", "replace"), "params.yaml")
    except UserError:
        return False
    return (
        isinstance(values, dict)
        and not lineage.compare_params(rename_parameters(values))
        and all(lineage.has_file(commit, path, digest) for path, digest in lineage.code_hashes.items())
    )


def _find_compare_commands(lineage: Lineage) -> list[str]:
    """Return the `omokage compare` command, or [] if a compared revision no longer has the same tables."""
    names, tables = lineage.stamp["compare"].get("runs", ()), lineage.stamp.get("deps", {})
    try:
        revisions = {name: lineage.history.revision(name) for name in names}
        is_same = all(
            lineage.has_file(revision, path, digest)
            for name, revision in revisions.items()
            for path, digest in tables[name].items()
        )
    except (UserError, AttributeError, KeyError, TypeError, ValueError):  # an unknown revision, a malformed stamp
        return []
    return [f"omokage compare {' '.join(map(shlex.quote, names))}"] if names and is_same else []


def _render_transform(request: Mapping[str, Any]) -> str:
    """Return the `omokage transform` command for the request in a stamp. The stamp does not name the user's images."""
    method = str(request.get("how", ""))
    options = [
        f"--{key} {shlex.quote(str(request[key]))}" for key in TRANSFORM_OPTIONS.get(method, ()) if key in request
    ]
    return " ".join(["omokage transform", shlex.quote(method), "IMAGE ...", *options])


def _render_sample(request: Mapping[str, Any]) -> str:
    """Return the `omokage sample` command for the request in a stamp: of one sample, or of a sheet of samples."""
    settings = [
        f"-S {shlex.quote(f'{key}={render_setting(value)}')}"
        for key, value in request.items()
        if key not in ("number", "samples")
    ]
    number, count = request.get("number"), request.get("samples")
    options = [f"-n {number + 1}"] if isinstance(number, int) else [f"-n {count} --grid"] if count else []
    return " ".join(["omokage sample", *options, *settings])


def render_setting(value: Any) -> str:
    """Return a value as text for KEY=VALUE in `dvc exp run -S`."""
    if isinstance(value, list):
        return f"[{','.join(map(render_setting, value))}]"
    is_plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w/.-]*", value)
    return str(value) if is_plain and parse_yaml(value, "a value") == value else json.dumps(value)
