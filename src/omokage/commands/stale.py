"""`omokage stale`: which outputs no longer match the parameters, data and code."""

from typing import Any

from omokage import pipeline
from omokage.commands import checkout
from omokage.params import whole

MANUAL = """\
Say which outputs no longer match the parameters, data and code, and why: every key and file that has changed. Exit code
1 if there are any. Records are compared, so that no large file is read; whether those are what was made, `omokage
audit` says."""


def add(commands: Any) -> None:
    """Tell the parser of this command."""
    parser = commands.add_parser(
        "stale", help="say what no longer matches parameters, data or code", description=MANUAL
    )
    parser.set_defaults(run=run)


def run(chosen: Any) -> int:
    """Print the outputs that no longer match, and why."""
    root = checkout()
    values = whole.load(root / "params.yaml")
    whole.check(values)
    stages, reasons = pipeline.read(root), pipeline.stale(root, values)
    for name, found in reasons.items():
        for reason in found:
            print(f"{name}: {reason}")
        for out in stages[name].outs:
            print(f"  {out}")
    if not reasons:
        print("all outputs match the parameters, data and code")
    return int(bool(reasons))
