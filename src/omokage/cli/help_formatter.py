"""Lay out the `--help` of a parser with subcommands and examples."""

import argparse


class HelpFormatter(argparse.HelpFormatter):
    """A formatter that puts the help of subcommands on the line of their names, and keeps examples as they are.

    argparse does not count the deeper indentation of subcommands, and so breaks the line after a long name.
    """

    def format_help(self) -> str:
        """Return the help text."""
        self._action_max_length += self._indent_increment
        return super().format_help()

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Return the paragraphs of a text, each wrapped unless it is indented."""
        paragraphs = text.split("\n\n")
        filled = [
            item if item.startswith(" ") else super(HelpFormatter, self)._fill_text(item, width, indent)
            for item in paragraphs
        ]
        return "\n\n".join(filled)
