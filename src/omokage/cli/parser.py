"""The command-line parser of every command: it documents the exit codes, and suggests a command for a mistyped one."""

import argparse
from typing import Any

from omokage.config.similar import find_similar

EXIT_CODES = "Exit codes: 0 success, 1 the answer is no, 2 wrong usage or an error, 130 stopped by Ctrl-C."


class Parser(argparse.ArgumentParser):
    """A parser whose `--help` ends with the exit codes. The parsers of its subcommands are of this class, too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"epilog": EXIT_CODES, **options})

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise ArgumentError for a value that is not a choice, with the most similar choice if there is one."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            if similar := find_similar(str(value), map(str, action.choices or ())):
                raise argparse.ArgumentError(action, f"{value!r}: did you mean {similar!r}?") from error
            raise
