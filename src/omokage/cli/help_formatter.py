"""Lay out the `--help` of a parser with subcommands."""

import argparse


class HelpFormatter(argparse.HelpFormatter):
    """A formatter that puts the help of subcommands on the line of their names.

    argparse does not count the deeper indentation of subcommands, and so breaks the line after a long name.
    """

    def format_help(self) -> str:
        """Return the help text."""
        self._action_max_length += self._indent_increment
        return super().format_help()
