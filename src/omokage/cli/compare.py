"""`omokage compare`: compare several runs on one page."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.base.files import write_atomically
from omokage.cli.checkout import find_checkout
from omokage.provenance.history import History
from omokage.stamps.stamp import render_stamp, save_png

DESCRIPTION = """\
Compare 2 to 6 runs on one HTML page: scores with real-vs-real baselines, the parameters that differ, curves, and
samples. A run is `workspace`, the name of a DVC experiment, or a git revision. Tables and parameters are read from git,
and samples from DVC's cache. If the cache lacks the samples of a run, the page shows the figure of samples in git. The
page's figures are also written as PNG files."""
MAX_RUNS = 6


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser("compare", help="compare several runs on one HTML page", description=DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="workspace, a DVC experiment or a git revision")
    parser.add_argument(
        "--out", type=Path, default=Path("compare.html"), help="the page to write (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Write the page and its figures, and print their paths. Return the exit code."""
    # Imported late, because these modules load DVC and matplotlib, which most commands do not need.
    from omokage.comparison import page, runs

    names, out = arguments.runs, arguments.out
    if not 2 <= len(names) <= MAX_RUNS:
        raise UserError(f"{len(names)} runs: expected 2 to {MAX_RUNS}")
    if len(set(names)) < len(names):
        raise UserError(f"{' '.join(names)}: expected different runs")
    with History(find_checkout()) as history:
        compared = [runs.read_run(history, name) for name in names]
    stamp = {
        "compare": {"runs": names, **dict(runs.find_differences(compared))},
        "deps": {item.name: item.inputs for item in compared},
    }
    figures = _plot_figures(compared, stamp)
    outputs = {out.with_name(f"{out.stem}-{name}.png"): content for name, content in figures.items()}
    outputs[out] = page.render_page(compared, figures, render_stamp(stamp)).encode()
    for path, content in outputs.items():
        with write_atomically(path) as partial:
            partial.write_bytes(content)
    print("\n".join(str(path) for path in reversed(outputs)))
    return 0


def _plot_figures(compared: Sequence[Any], stamp: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the figures by name, as the bytes of stamped PNG files.

    The figure `samples` is missing if no run has samples."""
    from omokage.comparison import plots

    figures: dict[str, bytes] = {}
    functions = {"curves": plots.plot_curves, "scores": plots.plot_scores, "samples": plots.plot_samples}
    for name, plot in functions.items():
        if image := plot(compared):
            buffer = io.BytesIO()
            save_png(image, buffer, {**stamp, "figure": f"{name}.png"})
            figures[name] = buffer.getvalue()
    return figures
