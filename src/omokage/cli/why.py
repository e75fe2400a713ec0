"""`omokage why`: show which run produced a file, and how to reproduce the file."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omokage.cli.checkout import find_checkout, list_first
from omokage.provenance.history import History
from omokage.provenance.identify import Verdict, identify
from omokage.provenance.lineage import Lineage
from omokage.provenance.reproduce import find_commands
from omokage.report.wording import format_value

DESCRIPTION = """\
Identify which run produced a figure, report or table. Copies are recognised too: renamed, without metadata, or saved in
another lossless format. The file's hash, pixels and metadata are compared with dvc.lock and the figures in the
workspace, in every DVC experiment and in every commit, so no `dvc pull` is needed. Prints the parameters behind the
file and which of them have changed since, the data, the scores, the revisions that contain the file, and commands that
reproduce it. Exit code 0 if the file is a result or has metadata, 1 if it is unknown or was edited, 2 after an
error."""
WIDTH, INDENT = 100, 16
SCORES = {"score", "distance", "distance_floor", "kid", "kid_floor", "n", "n_reference"}


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "why",
        help="show what produced a figure or report, and how to reproduce it",
        description=DESCRIPTION,
        examples=["omokage why results/figures/samples.png"],
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a figure, report or table of the pipeline, or a copy of one"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, including the file's metadata")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print which run produced the file. Return the exit code."""
    with History(find_checkout()) as history:
        lineage = Lineage(history, identify(arguments.file, history))
        if arguments.json:
            print(json.dumps(to_json(lineage), indent=1, ensure_ascii=False))
        else:
            print(to_text(arguments.file, lineage))
    return int(lineage.identification.verdict in (Verdict.EDITED, Verdict.UNKNOWN))


def to_json(lineage: Lineage) -> dict[str, Any]:
    """Return the lineage as the JSON object that `--json` prints."""
    output, stage = lineage.output
    return {
        "verdict": lineage.identification.verdict,
        "description": lineage.identification.description,
        "output": output,
        "stage": stage,
        "data": lineage.data,
        "user_images_changed": lineage.user_images_changed,
        "initial_model_changed": lineage.initial_model_changed,
        "params": lineage.params,
        "params_changed": _changes(lineage.changed_params),
        "code_changed": lineage.changed_code,
        "packages_changed": _changes(lineage.changed_packages),
        "scores": lineage.scores,
        "found_in": [vars(revision) for revision in lineage.revisions],
        "reproduce_with": find_commands(lineage),
        "stamp": lineage.stamp,
    }


def to_text(path: Path, lineage: Lineage) -> str:
    """Return the lineage as text for a terminal."""
    lines = [f"{path} {lineage.identification.description}"]
    if lineage.stamp:
        for heading, body in _paragraphs(lineage):
            lines += textwrap.wrap(
                body,
                WIDTH,
                initial_indent=f"{heading:{INDENT}}",
                subsequent_indent=" " * INDENT,
                break_on_hyphens=False,
            )
        # Commands are not wrapped, so that they can be copied.
        commands = find_commands(lineage) or [f"no command: {_explain_no_command(lineage)}"]
        lines += [
            f"{'or' if number else 'reproduce with':{INDENT}}{command}" for number, command in enumerate(commands)
        ]
    return "\n".join(lines)


def _changes(changes: dict[str, tuple[Any, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {"recorded": old, "current": new} for name, (old, new) in changes.items()}


def _paragraphs(lineage: Lineage) -> Iterator[tuple[str, str]]:
    """Yield the paragraphs that describe the lineage, as (heading, text)."""
    output, stage = lineage.output
    if output:
        yield "output", f"{output} of stage {stage}"
    if lineage.data:
        yield "data", ", ".join(_describe_data(lineage.data))
    for number, (name, values) in enumerate(lineage.params.items()):
        settings = ", ".join(f"{key} {format_value(value)}" for key, value in values.items())
        yield "" if number else "parameters", f"{name}: {settings}"
    if lineage.code_hashes:
        unchanged = "nothing: the parameters, code and pinned packages are the same"
        yield "changed since", "; ".join(_describe_changes(lineage)) or unchanged
    if lineage.scores.keys() >= SCORES:
        scores = lineage.scores
        yield (
            "scores",
            f"{scores['score']} {scores['distance']:g} (floor {scores['distance_floor']:g}), KID {scores['kid']:g} "
            f"(floor {scores['kid_floor']:g}), n = {scores['n']} samples and {scores['n_reference']} real faces",
        )
    heading = "original in" if lineage.identification.verdict == Verdict.EDITED else "found in"
    if lineage.command in ("transform", "sample", "demo"):
        heading = "model in"
    yield heading, list_first([*map(str, lineage.revisions)]) or "no revision of this repository"


def _explain_no_command(lineage: Lineage) -> str:
    if lineage.command == "compare":
        return "the compared runs have changed, or are not in this repository"
    return "no revision has the parameters, code and images of the run"


def _describe_changes(lineage: Lineage) -> Iterator[str]:
    """Yield what has changed since the run: parameters, the user's images, packages and code."""
    for key, (old, new) in lineage.changed_params.items():
        yield f"{key} = {format_value(old)} (now {'not set' if new is None else format_value(new)})"
    if lineage.user_images_changed:
        yield "the images in the folder"
    if lineage.initial_model_changed:
        yield "the model file in init_from"
    if lineage.changed_packages:
        changes = [f"{name} {old} (now {new or 'not used'})" for name, (old, new) in lineage.changed_packages.items()]
        yield f"packages: {list_first(changes)}"
    if lineage.changed_code:
        yield f"code: {list_first(lineage.changed_code)}"


def _describe_data(data: dict[str, Any]) -> Iterator[str]:
    yield str(data.get("name", "unnamed"))
    if "version" in data:
        yield f"version {data['version']}"
    if isinstance(data.get("pictures"), int):
        yield f"{data['pictures']:,} images"
