"""`omokage plan`: list the stages that `dvc repro` would run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omokage.cli.checkout import find_checkout
from omokage.cli.parser import add_settings_option
from omokage.cli.report_line import describe_report, read_headline
from omokage.config.yaml_file import load_yaml
from omokage.provenance.affected import find_affected

DESCRIPTION = """\
List the stages that `dvc repro` would run, with the first reason and the expected time, the figures that may change,
and the report of the last run. Changes nothing. Times are predicted from earlier runs on this machine, and are
"unknown" if none allows a prediction. "restored" means that DVC will restore the stage's results from its cache instead
of running the stage. If a stage's output does not change, the stages after it are skipped, so fewer may run."""

NOTHING = "nothing to run"


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "plan",
        help="list the stages that `dvc repro` would run",
        description=DESCRIPTION,
        examples=["omokage plan", "omokage plan -S lr=1e-4 -S steps=2400"],
    )
    add_settings_option(parser, "plan")
    parser.add_argument("--json", action="store_true", help="print JSON, with all reasons")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print the stages that would run and the figures that may change. Return the exit code."""
    # Imported late, because this module loads DVC, which most commands do not need.
    from omokage.pipeline.plan import apply_settings, plan_steps

    root = find_checkout()
    values = apply_settings(load_yaml(root / "params.yaml"), arguments.settings)
    steps = plan_steps(root, values)
    affected = find_affected(root, values, [step.stage for step in steps])
    figures = [name for name, may_change in affected.items() if may_change]
    if arguments.json:
        print(json.dumps(to_json(steps, figures, read_headline(root)), indent=1, ensure_ascii=False))
        return 0
    print_steps(steps)
    print(f"figures that may change: {', '.join(figures) or 'none'}")
    print(describe_report(root))
    return 0


def to_json(steps: Sequence[Any], figures: Sequence[str], headline: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the command prints with `--json`. Unknown seconds are null; a restored stage has none either."""
    return {
        "stages": [
            {
                "stage": step.stage,
                "seconds": None if step.seconds is None else round(step.seconds, 1),
                "restored": step.restored,
                "reasons": list(step.reasons),
            }
            for step in steps
        ],
        "seconds": None if list_unknown(steps) else round(sum(round(step.seconds or 0, 1) for step in steps), 1),
        "unknown": list_unknown(steps),
        "figures": list(figures),
        "report": dict(headline) or None,
    }


def list_unknown(steps: Sequence[Any]) -> list[str]:
    """Return the stages whose time is unknown."""
    return [step.stage for step in steps if step.seconds is None and not step.restored]


def print_steps(steps: Sequence[Any]) -> None:
    """Print a line for each stage, and the total time."""
    width = max((len(step.stage) for step in steps), default=0)
    for step in steps:
        more = f" (and {len(step.reasons) - 1} more)" if len(step.reasons) > 1 else ""
        time = "restored" if step.restored else _format_duration(step.seconds)
        print(f"{step.stage:{width}} {time:>10}  {step.reasons[0]}{more}")
    unknown, count = list_unknown(steps), f"{len(steps)} stage{'s' if len(steps) > 1 else ''}"
    if not steps:
        print(NOTHING)
    elif any(step.seconds is not None or step.restored for step in steps):
        without = f", without {', '.join(unknown)}" if unknown else ""
        print(f"{count}, about {_format_duration(sum(step.seconds or 0 for step in steps))}{without}")
    else:
        print(f"{count}, time unknown on this machine")


def _format_duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    hours, rest = divmod(round(seconds), 3600)
    if hours:
        return f"{hours} h {rest // 60:02} min"
    return f"{rest // 60} min {rest % 60:02} s" if rest >= 60 else f"{rest} s"
