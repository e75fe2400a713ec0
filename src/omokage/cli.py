"""The command `omokage`: what there is to do beside running the pipeline."""

import argparse
import sys
from collections.abc import Sequence

from omokage.commands import audit, compare, plan, stale, transform, why
from omokage.errors import Refused

COMMANDS = (why, plan, stale, audit, compare, transform)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line, and exit code 1."""
    chosen = parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except (Refused, OSError) as error:
        print(f"omokage: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, which is also its manual."""
    top = argparse.ArgumentParser(prog="omokage", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return top


if __name__ == "__main__":
    sys.exit(main())
