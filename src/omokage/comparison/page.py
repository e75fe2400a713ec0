"""Render the comparison as one HTML page that loads no other file."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from omokage import report
from omokage.comparison.runs import Run, find_differences, find_other_differences, find_score_setting_differences
from omokage.report.wording import format_value, join_words


def render_page(runs: Sequence[Run], figures: Mapping[str, bytes], stamp: str) -> str:
    """Return the page as HTML.

    `figures` are the bytes of PNG files by name. `stamp` is the text from stamps.stamp.render_stamp.
    """
    # The template includes the style sheet of the report.
    folders = [Path(__file__).parent, Path(report.__file__).parent]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"embed": _embed, "format_value": _format}
    score_differences = find_score_setting_differences(runs)
    return environment.get_template("compare.html.j2").render(
        runs=runs,
        names=[run.name for run in runs],
        title=join_words([run.name for run in runs]),
        figures=figures,
        scores=_list_scores(runs),
        score_differences=join_words(score_differences) if score_differences else "",
        differences=find_differences(runs),
        other_differences=find_other_differences(runs),
        has_same_noise=_has_same_noise(runs),
        stamp=stamp,
    )


def _list_scores(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Return the name of every metric with the text of its value in each run.

    The floor (real-vs-real baseline), if the metric has one, follows the value in brackets.
    """
    keys = dict.fromkeys(key for run in runs for key in run.metrics if not key.endswith("_floor"))

    def cell(metrics: Mapping[str, Any], key: str) -> str:
        floor = metrics.get(f"{key}_floor")
        return _format(metrics.get(key)) + ("" if floor is None else f" (floor {_format(floor)})")

    return [(key.replace("_", " "), [cell(run.metrics, key) for run in runs]) for key in keys]


def _has_same_noise(runs: Sequence[Run]) -> bool:
    """Return whether sample i starts from the same noise in all runs."""
    keys = {run.noise_key() for run in runs}
    return len(keys) == 1 and None not in next(iter(keys))


def _embed(content: bytes) -> dict[str, Any]:
    """Return the width, height and data URL of a PNG."""
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
    data = base64.b64encode(content).decode("ascii")
    return {"width": width, "height": height, "url": f"data:image/png;base64,{data}"}


def _format(value: Any) -> str:
    return "—" if value is None else format_value(value)
