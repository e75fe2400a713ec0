"""The command `omokage`: parse the command line and run one command."""

import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from omokage.base.errors import UserError
from omokage.cli import (
    audit,
    clean,
    compare,
    demo,
    export,
    gallery,
    plan,
    presets,
    preview_data,
    sample,
    score,
    stale,
    transform,
    why,
)
from omokage.cli.os_errors import describe_os_error
from omokage.cli.parser import Parser

DESCRIPTION = """\
Work with the parameters, results and trained model of the pipeline. `dvc repro` runs the pipeline itself. `omokage
COMMAND --help` describes a command."""
COMMANDS = (
    *(presets, preview_data, plan, stale, why, audit, compare, gallery),
    *(sample, score, transform, demo, export, clean),
)
# Exit codes besides 0 and 1, which the commands return.
ERROR, INTERRUPTED, BROKEN_PIPE = 2, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. A UserError or OSError is printed as one line, with exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names may hold bytes or letters that the terminal's encoding lacks.
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            parsed = make_parser().parse_args(arguments)
            return int(parsed.run(parsed))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has all that it wants. Python would print an error when it flushes at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except UserError as error:
        print(f"omokage: {error}", file=sys.stderr)
        return ERROR
    except OSError as error:
        print(f"omokage: {describe_os_error(error)}", file=sys.stderr)
        return ERROR
    except KeyboardInterrupt:
        return INTERRUPTED


def make_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(prog="omokage", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"omokage {_find_version()}", help="print the version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def _find_version() -> str:
    try:
        return version("omokage")
    except PackageNotFoundError:
        return "(not installed: run `make install`)"


if __name__ == "__main__":
    sys.exit(main())
