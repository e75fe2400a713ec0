"""`omokage clean`: remove what ended runs have left."""

from typing import Any

from omokage.base.checkout import find_main_checkout
from omokage.cli.checkout import find_checkout

DESCRIPTION = """\
Remove what ended runs have left: locks, unfinished outputs, partial results, the logs of experiments that no longer
exist, and DVC's file of locks if a killed DVC has left it damaged. Nothing of a living run is removed. Partial results
from which an interrupted run could resume are kept, and so are the logs of the workspace and of existing experiments.
Results, data and the cache stay as they are."""


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "clean",
        help="remove what ended runs have left",
        description=DESCRIPTION,
        examples=["omokage clean --dry-run", "omokage clean"],
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="also remove partial results, from which interrupted runs would resume",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be removed, and remove nothing")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Remove the leftovers, and print what was removed and what was kept. Return the exit code."""
    # Imported late, because this module loads DVC, which most commands do not need.
    from omokage.pipeline.leftovers import clean_leftovers

    root = find_main_checkout(find_checkout())
    removed, counts = "would remove" if arguments.dry_run else "removed", {True: 0, False: 0}
    for leftover in clean_leftovers(root, arguments.all, arguments.dry_run):
        counts[not leftover.kept] += 1
        path, reason = leftover.path.relative_to(root), f": {leftover.kept}" if leftover.kept else ""
        print(f"{'kept' if leftover.kept else removed} {path} ({leftover.description}){reason}")
    hint = "; `omokage clean --all` also removes what interrupted runs could resume from" if counts[False] else ""
    print(f"{removed} {counts[True]}, kept {counts[False]}{'' if arguments.all else hint}")
    return 0
