"""`omokage plan`: list the stages that `dvc repro` would run."""

from typing import Any

from omokage.cli.checkout import find_checkout
from omokage.config.yaml_file import load_yaml
from omokage.provenance.affected import find_affected

DESCRIPTION = """\
List the stages that `dvc repro` would run, with the first reason and the duration of their last run, and the figures
that may change. Changes nothing. "restored" means that DVC will restore the stage's results from its cache instead of
running the stage. If a stage's output does not change, the stages after it are skipped, so fewer may run."""

NOTHING = "nothing to run"


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser("plan", help="list the stages that `dvc repro` would run", description=DESCRIPTION)
    parser.add_argument(
        "-S",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="plan with another value of a parameter, as in `dvc exp run -S`; may be repeated",
    )
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print the stages that would run and the figures that may change. Return the exit code."""
    # Imported late, because this module loads DVC, which most commands do not need.
    from omokage.pipeline.plan import apply_settings, plan_steps

    root = find_checkout()
    values = apply_settings(load_yaml(root / "params.yaml"), arguments.settings)
    steps = plan_steps(root, values)
    width = max((len(step.stage) for step in steps), default=0)
    for step in steps:
        more = f" (and {len(step.reasons) - 1} more)" if len(step.reasons) > 1 else ""
        time = "restored" if step.restored else _format_duration(step.seconds)
        print(f"{step.stage:{width}} {time:>10}  {step.reasons[0]}{more}")
    total = sum(step.seconds or 0 for step in steps if not step.restored)
    unknown = [step.stage for step in steps if step.seconds is None and not step.restored]
    without = f", without {', '.join(unknown)}" if unknown else ""
    print(f"{len(steps)} stages, about {_format_duration(total)} by their last runs{without}" if steps else NOTHING)
    figures = [
        name for name, affected in find_affected(root, values, [step.stage for step in steps]).items() if affected
    ]
    print(f"figures that may change: {', '.join(figures) or 'none'}")
    return 0


def _format_duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
