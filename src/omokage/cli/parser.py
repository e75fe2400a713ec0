"""The command-line parser of every command: it documents examples and exit codes, and suggests a similar word."""

import argparse
from collections.abc import Sequence
from typing import Any

from omokage.cli.help_formatter import HelpFormatter
from omokage.config.similar import find_similar

EXIT_CODES = {
    0: "success",
    1: "the answer is no",
    2: "wrong usage or an error",
    130: "stopped by Ctrl-C",
    141: "the output was closed, as by `head`",
}


def add_settings_option(parser: argparse.ArgumentParser, verb: str) -> None:
    """Add the option -S KEY=VALUE, as `settings`: the command does what `verb` says with other parameters."""
    parser.add_argument(
        "-S",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"{verb} with another value of a parameter, as in `dvc exp run -S`; may be repeated",
    )


def parse_count(text: str) -> int:
    """Return the value of an option that takes a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)


class Parser(argparse.ArgumentParser):
    """A parser whose `--help` ends with examples and the exit codes. The parsers of its subcommands are of this class.

    `examples` are whole command lines.
    """

    def __init__(self, examples: Sequence[str] = (), **options: Any) -> None:
        self.examples = tuple(examples)
        paragraphs = ["Examples:", "\n".join(f"  {example}" for example in examples)] if examples else []
        codes = ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
        epilog = "\n\n".join([*paragraphs, f"Exit codes: {codes}."])
        super().__init__(**{"epilog": epilog, "formatter_class": HelpFormatter, **options})

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise ArgumentError for a value that is not a choice, with the most similar choice if there is one."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            if similar := find_similar(str(value), map(str, action.choices or ())):
                raise argparse.ArgumentError(action, f"{value!r}: did you mean {similar!r}?") from error
            raise
