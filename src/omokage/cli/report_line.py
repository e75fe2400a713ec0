"""Say in one line where the report is, and what its score is. `make` ends with this line.

python -m omokage.cli.report_line
"""

import json
from pathlib import Path
from typing import Any

REPORT, METRICS = "results/report.html", "results/metrics.json"


def read_headline(root: Path) -> dict[str, Any]:
    """Return the path of the report, and its `distance` and `distance_floor` as far as they are known.

    The result is empty if there is no report.
    """
    if not (root / REPORT).is_file():
        return {}
    try:
        metrics = json.loads((root / METRICS).read_text(encoding="utf-8"))
        scores = {key: float(metrics[key]) for key in ("distance", "distance_floor") if metrics.get(key) is not None}
    except (OSError, ValueError, TypeError, AttributeError):
        scores = {}
    return {"path": REPORT, **scores}


def describe_report(root: Path) -> str:
    """Return the line about the report of a checkout."""
    headline = read_headline(root)
    if not headline:
        return "report: none yet, `dvc repro` writes it"
    score = f"Fréchet distance {headline['distance']:g}" if "distance" in headline else "score unknown"
    floor = f" (real images: {headline['distance_floor']:g})" if "distance_floor" in headline else ""
    return f"report: {headline['path']}, {score}{floor}"


if __name__ == "__main__":
    print(describe_report(Path.cwd()))
