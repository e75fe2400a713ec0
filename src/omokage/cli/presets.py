"""`omokage presets`: list presets (named sets of parameters), show them, or write params.yaml from them."""

import textwrap
from typing import Any

from omokage.cli.checkout import find_checkout
from omokage.config.params_file import default_params, render_value
from omokage.config.presets import combine_presets, read_presets, use_presets
from omokage.config.yaml_file import parse_yaml

DESCRIPTION = """\
Presets are named sets of parameters. A data preset selects images, and a recipe says how to train on them. Any recipe
goes with any data, for example `omokage presets use pixiv cpu-32`. Without a command, list all presets."""


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "presets",
        help="list, show or use ready-made parameters",
        description=DESCRIPTION,
        examples=["omokage presets"],
    )
    parser.set_defaults(run=list_presets)
    actions = parser.add_subparsers(metavar="COMMAND")
    show = actions.add_parser(
        "show",
        help="print the parameters that presets change",
        description="Print the parameters that presets change, each with its default. Changes nothing.",
        examples=["omokage presets show gpu-64"],
    )
    use = actions.add_parser(
        "use",
        help="write params.yaml from presets, without running anything",
        description="Write params.yaml from the defaults and the presets, where a later preset wins. Runs nothing. If "
        "params.yaml holds edits of your own, the command stops and leaves it as it is.",
        examples=["omokage presets use pixiv-64", "omokage presets use folder cpu-32"],
    )
    for action, run in ((show, show_presets), (use, write_params)):
        action.add_argument("names", nargs="+", metavar="NAME", help="presets, applied in this order")
        action.set_defaults(run=run)


def list_presets(arguments: Any) -> int:
    """Print every preset with its purpose, time and hardware. Return the exit code."""
    for preset in read_presets(find_checkout()).values():
        print(" = ".join([preset.name, *([" + ".join(preset.combines)] if preset.combines else [])]))
        for label, text in (("purpose", preset.purpose), ("time", preset.time), ("hardware", preset.hardware)):
            print(textwrap.fill(text, 100, initial_indent=f"    {label + ':':10}", subsequent_indent=" " * 14))
    return 0


def show_presets(arguments: Any) -> int:
    """Print the parameters that the named presets change, each with its default. Return the exit code."""
    changes, defaults = combine_presets(read_presets(find_checkout()), arguments.names), default_params()
    for key, value in changes.items():
        print(f"{key}: {render_value(value)}  # default: {render_value(defaults[key])}")
    if not changes:
        print("no difference from the defaults")
    return 0


def write_params(arguments: Any) -> int:
    """Write params.yaml from the named presets. Return the exit code."""
    root = find_checkout()
    # Imported late, since only this command needs git.
    from omokage.provenance.history import History

    with History(root) as history:
        committed = history.read_head("params.yaml")
    params = parse_yaml(committed.decode("utf-8", "replace"), "params.yaml in git") if committed else None
    use_presets(root, arguments.names, params)
    print(f"params.yaml: {' + '.join(arguments.names)}; `dvc repro` runs it")
    return 0
