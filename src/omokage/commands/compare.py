"""`omokage compare`: several runs on one page."""

import io
from pathlib import Path
from typing import Any

from omokage import provenance
from omokage.commands import checkout
from omokage.errors import Refused
from omokage.history import History

MANUAL = """\
Put 2 to 6 runs side by side: scores with their floors, the parameters that differ, curves, and samples from the same
seeds. A run is `workspace`, an experiment of DVC by its name, or a revision of git. What is in git is read from there,
samples from DVC's cache, or where that lacks them the figure in git is shown. Writes one HTML page, and beside it the
figures as PNG."""
MOST = 6


def add(commands: Any) -> None:
    """Tell the parser of this command."""
    parser = commands.add_parser("compare", help="put runs side by side on a page", description=MANUAL)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="workspace, an experiment or a revision of git")
    parser.add_argument("--out", type=Path, default=Path("compare.html"), help="the page (default: %(default)s)")
    parser.set_defaults(run=run)


def run(chosen: Any) -> int:
    """Write the page and its figures, and print where they are."""
    # Imported here: other commands need neither DVC nor what draws.
    from omokage.comparison import draw, page, runs

    if not 2 <= len(chosen.runs) <= MOST:
        raise Refused(f"{len(chosen.runs)} runs: expected 2 to {MOST}")
    if len(set(chosen.runs)) < len(chosen.runs):
        raise Refused(f"{' '.join(chosen.runs)}: expected different runs")
    with History(checkout()) as history:
        found = [runs.read(history, name) for name in chosen.runs]
    stamp = {
        "compare": {"runs": chosen.runs, **dict(runs.differences(found))},
        "deps": {one.name: one.read for one in found},
    }
    figures: dict[str, bytes] = {}
    for name, drawn in (("curves", draw.curves), ("scores", draw.scores), ("samples", draw.samples)):
        if image := drawn(found):
            written = io.BytesIO()
            provenance.save_png(image, written, {**stamp, "figure": f"{name}.png"})
            figures[name] = written.getvalue()
    outputs = {chosen.out.with_name(f"{chosen.out.stem}-{name}.png"): content for name, content in figures.items()}
    outputs[chosen.out] = page.render(found, figures, provenance.text(stamp)).encode()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    for path, content in outputs.items():
        partial = path.with_name(f".partial-{path.name}")
        partial.write_bytes(content)
        partial.replace(path)
    print("\n".join(str(path) for path in reversed(outputs)))
    return 0
