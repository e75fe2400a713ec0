"""`omokage gallery`: all experiments and commits of a checkout on one page."""

import json
from typing import Any

from omokage.base.files import write_atomically
from omokage.cli.checkout import find_checkout
from omokage.cli.output_file import add_output_options, check_output
from omokage.cli.parser import parse_count
from omokage.provenance.history import History

DESCRIPTION = """\
Show the workspace and all experiments and commits that have results on one HTML page: samples, scores with intervals
and real-vs-real baselines, the parameters that differ from those of most runs, and times. Revisions with the same
dvc.lock are one run. The page sorts and filters the runs, and gives the command that compares selected runs or makes
one again. Everything is read from git and DVC's cache. The page needs no network."""
LIMIT = 300


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "gallery",
        help="show all experiments and commits with results on one HTML page",
        description=DESCRIPTION,
        examples=["omokage gallery", "omokage gallery --force --limit 50", "omokage gallery --json"],
    )
    add_output_options(parser, "gallery.html", "page, an HTML file,")
    parser.add_argument(
        "--limit", type=parse_count, default=LIMIT, metavar="N", help="show the newest N runs (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the runs as JSON, the newest first, and no page")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Write the page and print its path, or print the runs. Return the exit code."""
    output = None if arguments.json else check_output(arguments.out, ".html", [], arguments.force)
    # Imported late, because these modules load DVC, which most commands do not need.
    from omokage.comparison.gallery_page import describe_runs, render_gallery
    from omokage.comparison.gallery_runs import read_runs

    with History(find_checkout()) as history:
        runs, left_out = read_runs(history, arguments.limit)
    if output is None:
        print(json.dumps({"runs": describe_runs(runs), "left_out": left_out}, indent=1, default=str))
        return 0
    page = render_gallery(runs, left_out)
    with write_atomically(output) as partial:
        partial.write_text(page, encoding="utf-8")
    print(arguments.out)
    return 0
