"""Render docs/reference/command-line.md from the parser of the command `omokage`.

argparse's own usage lines are not used: they differ between versions of Python and widths of terminals.
"""

import argparse
import re
from collections.abc import Iterator

from omokage.cli.main import make_parser
from omokage.cli.parser import EXIT_CODES, Parser

INTRODUCTION = """\
# Command line

Every command of `omokage`, with its options, defaults and exit codes. `omokage COMMAND --help` prints the same, and
`make deps` writes this page from the parser. `make install` puts `omokage` into `.venv/bin`; run
`. .venv/bin/activate` once per terminal to call it by its name."""
EXIT_CODES_HEADING = """\
## Exit codes

Every command uses the same exit codes, so that scripts can tell a negative answer from an error. Only `stale`, `audit`,
`why` and `preview-data` exit with 1; their descriptions say when.

| code | meaning |
|---|---|"""


def render_command_line() -> str:
    """Return the page: the list of commands, the exit codes, and a section for each command."""
    parser = make_parser()
    lines = [INTRODUCTION, *render_list(parser), *render_table(parser), "", EXIT_CODES_HEADING]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    for command, _ in list_commands(parser):
        lines += ["", *render_command(command, level=2)]
    return "\n".join(lines) + "\n"


def render_command(parser: Parser, level: int) -> Iterator[str]:
    """Yield the lines of the section of a command and of its subcommands, whose headings are one level below."""
    yield from (f"{'#' * level} {parser.prog}", "", parser.description or "", "")
    yield from ("```text", render_usage(parser), "```", *render_list(parser), *render_table(parser))
    if parser.examples:
        yield from ("", "For example:", "", "```sh", *parser.examples, "```")
    for command, _ in list_commands(parser):
        yield ""
        yield from render_command(command, level + 1)


def render_list(parser: argparse.ArgumentParser) -> list[str]:
    """Return the list of the subcommands of a command, after an empty line, if it has any."""
    items = [f"- [`{item.prog}`](#{make_anchor(item.prog)}): {text}" for item, text in list_commands(parser)]
    return ["", *items] if items else []


def render_table(parser: argparse.ArgumentParser) -> list[str]:
    """Return the table of the arguments of a command, after an empty line, if it has any."""
    rows = [render_row(action) for action in list_arguments(parser)]
    return ["", "| argument | default | meaning |", "|---|---|---|", *rows] if rows else []


def list_commands(parser: argparse.ArgumentParser) -> list[tuple[Parser, str]]:
    """Return the parsers of the subcommands, each with its line of help."""
    return [
        (action.choices[choice.dest], choice.help or "")
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for choice in action._choices_actions
    ]


def list_arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments and options of a command, without `--help` and without its subcommands."""
    left_out = (argparse._HelpAction, argparse._SubParsersAction)
    return [action for action in parser._actions if not isinstance(action, left_out)]


def render_usage(parser: argparse.ArgumentParser) -> str:
    """Return the command with its arguments, on one line."""
    words = [parser.prog]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words.append(str(action.metavar) if action.required else f"[{action.metavar}]")
        elif not action.option_strings:
            words.append(name_argument(action))
    if any(action.option_strings for action in list_arguments(parser)):
        words.append("[OPTION...]")
    return " ".join(words)


def name_argument(action: argparse.Action) -> str:
    """Return an argument or option as it is typed, such as `RUN...` or `--steps STEPS`."""
    value = (
        f"{{{','.join(map(str, action.choices))}}}" if action.choices else str(action.metavar or action.dest.upper())
    )
    if action.option_strings:
        return " ".join([", ".join(action.option_strings), *([value] if action.nargs != 0 else [])])
    return f"{value}..." if action.nargs == "+" else " ".join([value] * int(action.nargs or 1))


def render_row(action: argparse.Action) -> str:
    """Return the row of an argument or option in the table of its command."""
    has_default = action.default not in (None, argparse.SUPPRESS, []) and action.default is not False
    meaning = re.sub(r" \(default: .*\)$", "", (action.help or "")).replace("%%", "%")
    cells = [f"`{name_argument(action)}`", f"`{action.default}`" if has_default else "", meaning]
    return f"| {' | '.join(cells)} |"


def make_anchor(heading: str) -> str:
    """Return the anchor of a heading, such as omokage-plan."""
    return heading.replace(" ", "-")
