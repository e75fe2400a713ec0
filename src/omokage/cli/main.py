"""The command `omokage`: parse the command line and run one command."""

import argparse
import sys
from collections.abc import Sequence

from omokage.base.errors import UserError
from omokage.cli import audit, compare, plan, presets, stale, transform, why
from omokage.cli.help_formatter import HelpFormatter

DESCRIPTION = """\
Work with the parameters, results and trained model of the pipeline. `dvc repro` runs the pipeline itself. `omokage
COMMAND --help` describes a command."""
COMMANDS = (presets, plan, stale, why, audit, compare, transform)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. A UserError or OSError is printed as one line, with exit code 1."""
    parsed = make_parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except (UserError, OSError) as error:
        print(f"omokage: {error}", file=sys.stderr)
        return 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="omokage", description=DESCRIPTION, formatter_class=HelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
