"""`omokage plan`: what `dvc repro` would run."""

from typing import Any

from omokage.commands import checkout
from omokage.params import whole

MANUAL = """\
Say which stages `dvc repro` would run, why and for about how long (by their last runs), and which figures may change.
Touches nothing. "restored" is what ran before with the same parameters, code and data: DVC takes it from its cache. A
stage that comes out as before spares those after it: then less runs than is said."""


def add(commands: Any) -> None:
    """Tell the parser of this command."""
    parser = commands.add_parser("plan", help="say what `dvc repro` would run", description=MANUAL)
    parser.add_argument(
        "-S", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="as for dvc exp run"
    )
    parser.set_defaults(run=run)


def run(chosen: Any) -> int:
    """Print the stages that would run and the figures that may change."""
    # Imported here, since it loads DVC, which `omokage why` does without.
    from omokage import plan as forecast

    root = checkout()
    values = forecast.changed(whole.load(root / "params.yaml"), chosen.settings)
    steps = forecast.steps(root, values)
    for step in steps:
        more = f" (and {len(step.reasons) - 1} more)" if len(step.reasons) > 1 else ""
        time = "restored" if step.restored else _duration(step.seconds)
        print(f"{step.stage:10} {time:>10}  {step.reasons[0]}{more}")
    known = sum(step.seconds or 0 for step in steps if not step.restored)
    print(f"{len(steps)} stages, about {_duration(known)} by their last runs" if steps else "nothing to run")
    touched = [name for name, may in forecast.figures(root, values, steps).items() if may]
    print(f"figures that may change: {', '.join(touched) or 'none'}")
    return 0


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
