"""The comparison as one page that needs nothing else."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from omokage import report
from omokage.comparison.runs import Run, differences, others
from omokage.report.words import listed


def render(runs: Sequence[Run], figures: Mapping[str, bytes], stamp: str) -> str:
    """Return the page as HTML, with its figures (PNG, by name) within and its stamp."""
    # The report's style sheet serves this page as well.
    folders = [Path(__file__).parent, Path(report.__file__).parent]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"picture": _picture, "shown": _shown}
    return environment.get_template("compare.html.j2").render(
        runs=runs,
        names=[run.name for run in runs],
        title=listed([run.name for run in runs]),
        figures=figures,
        scores=_scores(runs),
        differences=differences(runs),
        others=others(runs),
        same_noise=len({run.drawn_from() for run in runs}) == 1,
        comparable=len({run.metrics["extractor"] for run in runs}) == 1,
        stamp=stamp,
    )


def _scores(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Return every score, and how it was computed, with its floor where it has one."""
    keys = dict.fromkeys(key for run in runs for key in run.metrics if not key.endswith("_floor"))

    def cell(metrics: Mapping[str, Any], key: str) -> str:
        floor = metrics.get(f"{key}_floor")
        return _shown(metrics.get(key)) + ("" if floor is None else f" (floor {_shown(floor)})")

    return [(key.replace("_", " "), [cell(run.metrics, key) for run in runs]) for key in keys]


def _picture(content: bytes) -> dict[str, Any]:
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
    data = base64.b64encode(content).decode("ascii")
    return {"width": width, "height": height, "data": f"data:image/png;base64,{data}"}


def _shown(value: Any) -> str:
    return "—" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
