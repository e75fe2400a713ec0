"""Render the comparison as one HTML page that loads no other file and needs no script."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from omokage.comparison import runs as tables
from omokage.comparison.charts import chart_errors, chart_loss, chart_noise_levels
from omokage.comparison.runs import Run
from omokage.comparison.samples import crop_grid, encode_sample, encode_webp
from omokage.comparison.scores import chart_scores, tabulate_measures, tabulate_settings
from omokage.comparison.template import describe_parameter, isolate, render
from omokage.report.wording import join_words

ROWS_PER_TABLE = 4  # of samples
# What else can differ, as a noun in the singular and in the plural.
KINDS = {
    "data": ("data file", "data files"),
    "code": ("folder of code", "folders of code"),
    "packages": ("package", "packages"),
}


def render_page(runs: Sequence[Run], stamp: str) -> str:
    """Return the page as HTML. `stamp` is the text from stamps.stamp.render_stamp."""
    names = [run.name for run in runs]
    metrics = [run.metrics for run in runs]
    score_differences = tables.find_score_setting_differences(runs)
    differing, equal = tables.tabulate_params(runs)
    return render(
        "compare.html.j2",
        runs=runs,
        names=names,
        title=join_words([isolate(name) for name in names]),
        quoted=[shlex.quote(name) for name in names],
        charts=chart_scores(metrics, names, is_comparable=not score_differences),
        measures=tabulate_measures(metrics),
        settings=tabulate_settings(metrics),
        score_differences=join_words(score_differences) if score_differences else "",
        differing=[(key, describe_parameter(key), values) for key, values in differing],
        equal=[(key, describe_parameter(key), value) for key, value in equal],
        other_differences=_describe_differences(tables.find_other_differences(runs)),
        curves=[chart_loss(runs), chart_errors(runs), chart_noise_levels(runs)],
        samples=_tabulate_samples(runs),
        figures={run.name: _encode_figure(run) for run in runs if run.samples is None},
        has_same_noise=_has_same_noise(runs),
        stamp=stamp,
    )


def _describe_differences(differences: Mapping[str, Sequence[Any]]) -> list[tuple[str, str, Sequence[Any]]]:
    """Return what else differs: the kind, a heading such as '2 packages differ', and the items."""
    headings = {
        kind: f"1 {KINDS[kind][0]} differs" if len(items) == 1 else f"{len(items)} {KINDS[kind][1]} differ"
        for kind, items in differences.items()
    }
    return [(kind, headings[kind], items) for kind, items in differences.items()]


def _tabulate_samples(runs: Sequence[Run]) -> list[list[tuple[int, list[str | None]]]]:
    """Return tables of samples. A row has the number of a sample, and its data URL for each run (None: missing)."""
    count = max((len(run.samples) for run in runs if run.samples is not None), default=0)
    rows = [
        (
            number,
            [
                encode_sample(run.samples[number]) if run.samples is not None and number < len(run.samples) else None
                for run in runs
            ],
        )
        for number in range(count)
    ]
    return [rows[start : start + ROWS_PER_TABLE] for start in range(0, count, ROWS_PER_TABLE)]


def _encode_figure(run: Run) -> str | None:
    """Return the data URL of the samples in the figure of a run, or None if there is no figure."""
    image = crop_grid(run.samples_figure) if run.samples_figure is not None else None
    return encode_webp(image, 640) if image is not None else None


def _has_same_noise(runs: Sequence[Run]) -> bool:
    """Return whether sample i starts from the same noise in all runs."""
    keys = {run.noise_key() for run in runs}
    return len(keys) == 1 and None not in next(iter(keys))
