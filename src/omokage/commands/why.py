"""`omokage why`: whose a picture is, what made it, who holds it, and how to make it again."""

import json
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from omokage.commands import checkout
from omokage.history import History
from omokage.lineage import Lineage
from omokage.trace import Verdict, trace

MANUAL = """\
Say which figure or report a file is, in any copy: under another name, without its metadata, saved anew without loss.
Its bytes, pixels and stamp are held against the records of the workspace, of every experiment of DVC, applied or not,
and of every commit. Told are the parameters it rests on and which are others now, the data, the scores, the revisions
that hold it, and a command that makes it again. Exit code 1 if the file is not the pipeline's, or was edited since."""
WIDTH, SHOWN = 100, 4


def add(commands: Any) -> None:
    """Tell the parser of this command."""
    parser = commands.add_parser("why", help="say what made a picture, and how to make it again", description=MANUAL)
    parser.add_argument("file", type=Path, help="a picture, report or table that the pipeline made, or a copy")
    parser.add_argument("--json", action="store_true", help="as JSON, with the whole stamp")
    parser.set_defaults(run=run)


def run(chosen: Any) -> int:
    """Print where the file comes from."""
    with History(checkout()) as history:
        lineage = Lineage(history, trace(chosen.file, history))
        print(json.dumps(as_json(lineage), indent=1, ensure_ascii=False) if chosen.json else told(chosen.file, lineage))
    return int(lineage.trace.verdict in (Verdict.EDITED, Verdict.UNKNOWN))


def as_json(lineage: Lineage) -> dict[str, Any]:
    """Return the same for programs."""
    output, stage = lineage.output
    return {
        "verdict": lineage.trace.verdict,
        "says": lineage.trace.says,
        "output": output,
        "stage": stage,
        "data": lineage.data,
        "pictures_changed": lineage.pictures_changed,
        "params": lineage.params,
        "differing": {key: {"then": then, "now": now} for key, (then, now) in lineage.differing.items()},
        "code_changed": lineage.code,
        "packages_changed": {name: {"then": then, "now": now} for name, (then, now) in lineage.packages.items()},
        "scores": lineage.scores,
        "held_by": [vars(held) for held in lineage.held_by],
        "again": lineage.again,
        "stamp": lineage.trace.stamp,
    }


def told(path: Path, lineage: Lineage) -> str:
    """Return it in words."""
    lines = [f"{path} {lineage.trace.says}"]
    if lineage.trace.stamp:
        for head, body in _paragraphs(lineage):
            lines += textwrap.wrap(
                body, WIDTH, initial_indent=f"{head:12}", subsequent_indent=" " * 12, break_on_hyphens=False
            )
        # A command stays whole, to be copied.
        again = lineage.again or ["no command: its code, parameters and pictures are in no revision here"]
        lines += [f"{'or' if number else 'again':12}{command}" for number, command in enumerate(again)]
    return "\n".join(lines)


def _paragraphs(lineage: Lineage) -> Iterator[tuple[str, str]]:
    output, stage = lineage.output
    if output:
        yield "output", f"{output} of stage {stage}"
    if lineage.data:
        yield "data", ", ".join(_data(lineage.data))
    for number, (name, values) in enumerate(lineage.params.items()):
        settings = ", ".join(f"{key} {_short(value)}" for key, value in values.items())
        yield "" if number else "parameters", f"{name}: {settings}"
    others = [f"{key} = {_short(then)} (now {_short(now)})" for key, (then, now) in lineage.differing.items()]
    if lineage.made_of:
        changes = "; ".join([*others, *_others(lineage)])
        yield "other now", changes or "nothing: params.yaml, code and packages are the same"
    if {"score", "distance", "distance_floor", "kid", "kid_floor", "n", "n_reference"} <= (
        scores := lineage.scores
    ).keys():
        yield (
            "scores",
            f"{scores['score']} {scores['distance']:g} (floor {scores['distance_floor']:g}), KID {scores['kid']:g} "
            f"(floor {scores['kid_floor']:g}), n = {scores['n']} and {scores['n_reference']} real",
        )
    yield "held by", _listed(map(str, lineage.held_by)) or "no revision here"


def _others(lineage: Lineage) -> Iterator[str]:
    if lineage.pictures_changed:
        yield "the pictures in the folder"
    if lineage.packages:
        changes = [f"{name} {then} (now {now or 'not used'})" for name, (then, now) in lineage.packages.items()]
        yield f"packages: {_listed(changes)}"
    if lineage.code:
        yield f"code: {_listed(lineage.code)}"


def _data(data: dict[str, Any]) -> Iterator[str]:
    yield str(data.get("name", "unnamed"))
    if "version" in data:
        yield f"version {data['version']}"
    if "pictures" in data:
        yield f"{data['pictures']:,} pictures"


def _listed(items: Iterable[str]) -> str:
    """Return the first items, and how many more there are."""
    every = list(items)
    return ", ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN} more" if len(every) > SHOWN else "")


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
