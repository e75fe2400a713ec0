"""`omokage compare`: compare several runs on one page."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.base.files import write_atomically
from omokage.cli.checkout import find_checkout
from omokage.cli.output_file import add_output_options, check_output
from omokage.provenance.history import History
from omokage.stamps.stamp import render_stamp, save_png

DESCRIPTION = """\
Compare 2 to 6 runs on one HTML page: scores with real-vs-real baselines, the parameters that differ, curves, and
samples. A run is `workspace`, the name of a DVC experiment, or a git revision. Tables and parameters are read from git,
and samples from DVC's cache. If the cache lacks the samples of a run, the page shows the figure of samples in git. The
page's figures are also written as PNG files."""
MAX_RUNS = 6
PAGE, FIGURES = "page", ("curves", "scores", "samples")


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
    """Write the page and its figures, and print their paths. Return the exit code."""
    names = arguments.runs
    if not 2 <= len(names) <= MAX_RUNS:
        raise UserError(f"{len(names)} runs: expected 2 to {MAX_RUNS}")
    if len(set(names)) < len(names):
        raise UserError(f"{' '.join(names)}: expected different runs")
    outputs = _check_outputs(arguments.out, arguments.force)
    # Imported late, because these modules load DVC and matplotlib, which most commands do not need.
    from omokage.comparison import page, runs

    with History(find_checkout()) as history:
        compared = [runs.read_run(history, name) for name in names]
    stamp = {
        "compare": {"runs": names, **dict(runs.find_differences(compared))},
        "deps": {item.name: item.inputs for item in compared},
    }
    figures = _plot_figures(compared, stamp)
    contents = {PAGE: page.render_page(compared, figures, render_stamp(stamp)).encode(), **figures}
    for name, content in contents.items():
        with write_atomically(outputs[name]) as partial:
            partial.write_bytes(content)
        print(_name_output(arguments.out, name))
    return 0


def _check_outputs(out: Path, force: bool) -> dict[str, Path]:
    """Return the files to write, for the page and each figure by name; raise UserError if one must not be written."""
    outputs = {PAGE: check_output(out, ".html", [], force)}
    return outputs | {name: check_output(_name_output(out, name), ".png", [], force) for name in FIGURES}


def _name_output(out: Path, name: str) -> Path:
    return out if name == PAGE else out.with_name(f"{out.stem}-{name}.png")


def _plot_figures(compared: Sequence[Any], stamp: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the figures by name, as the bytes of stamped PNG files.

    The figure `samples` is missing if no run has samples."""
    from omokage.comparison import plots

    figures: dict[str, bytes] = {}
    functions = (plots.plot_curves, plots.plot_scores, plots.plot_samples)
    for name, plot in zip(FIGURES, functions, strict=True):
        if image := plot(compared):
            buffer = io.BytesIO()
            save_png(image, buffer, {**stamp, "figure": f"{name}.png"})
            figures[name] = buffer.getvalue()
    return figures
