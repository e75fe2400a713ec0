"""`omokage compare`: compare several runs on one page."""

from typing import Any

from omokage.base.errors import UserError
from omokage.base.files import write_atomically
from omokage.cli.checkout import find_checkout
from omokage.cli.output_file import add_output_options, check_output
from omokage.provenance.history import History
from omokage.stamps.stamp import render_stamp

DESCRIPTION = """\
Compare 2 to 6 runs on one HTML page: the parameters that differ, scores with intervals and real-vs-real baselines,
samples of the same numbers next to each other, and curves. A run is `workspace`, the name of a DVC experiment, or a git
revision. Tables and parameters are read from git, and samples from DVC's cache. If the cache lacks the samples of a
run, they are cut out of its figure in git. The page needs no network and no script."""
MAX_RUNS = 6


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "compare",
        help="compare several runs on one HTML page",
        description=DESCRIPTION,
        examples=["omokage compare workspace HEAD~3", "omokage compare workspace lr-low --out lr.html"],
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="workspace, a DVC experiment or a git revision")
    add_output_options(parser, "compare.html", "page, an HTML file,")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Write the page, and print its path. Return the exit code."""
    names = arguments.runs
    if not 2 <= len(names) <= MAX_RUNS:
        raise UserError(f"{len(names)} runs: expected 2 to {MAX_RUNS}")
    if len(set(names)) < len(names):
        raise UserError(f"{' '.join(names)}: expected different runs")
    output = check_output(arguments.out, ".html", [], arguments.force)
    # Imported late, because these modules load DVC and matplotlib, which most commands do not need.
    from omokage.comparison import page, runs

    with History(find_checkout()) as history:
        compared = [runs.read_run(history, name) for name in names]
    differing, _ = runs.tabulate_params(compared)
    stamp = {
        "compare": {"runs": names, **dict(differing)},
        "deps": {item.name: item.inputs for item in compared},
    }
    with write_atomically(output) as partial:
        partial.write_text(page.render_page(compared, render_stamp(stamp)), encoding="utf-8")
    print(arguments.out)
    return 0
