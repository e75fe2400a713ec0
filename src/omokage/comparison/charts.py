"""Turn the curves of several runs into lines of an SVG, with ticks that the page writes as text."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator

from omokage.comparison.runs import Run
from omokage.report.wording import format_number

MAX_POINTS = 240  # of a line
WIDTH, HEIGHT = 1000, 600  # the coordinates of a line; the page stretches them to its own size


@dataclass(frozen=True)
class Line:
    """A line of a chart: the number of its run, and its points in the coordinates of the chart as "x,y x,y"."""

    run: int
    points: str
    is_second: bool = False


@dataclass(frozen=True)
class LineChart:
    """Lines and ticks. A tick is its place in percent, from the left or from the top, and its text.

    `numbers` is the table of the values, which a screen reader can read: headings and rows.
    """

    title: str
    x_label: str
    y_label: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    numbers: tuple[str, list[tuple[str, list[str]]]]


def chart_loss(runs: Sequence[Run]) -> LineChart:
    """Return the training loss by step: the mean of neighbouring rows, on a logarithmic axis."""
    curves = []
    for run in runs:
        window = 2 * max(1, len(run.loss) // 20) + 1
        smooth = run.loss["loss"].rolling(window, center=True, min_periods=1).mean()
        table = pd.DataFrame({"x": run.loss["step"], "y": smooth})
        curves.append(table.iloc[:: max(1, -(-len(table) // MAX_POINTS))])
    rows = [(f"{part} % of the steps", [_read_at(table, part) for table in curves]) for part in (10, 25, 50, 75, 100)]
    return _chart("Training loss, smoothed", ("step", "loss"), [curves], ("part of the training", rows))


def chart_errors(runs: Sequence[Run]) -> LineChart:
    """Return the squared error of the EMA by step, on the held-out set and, as second lines, on the training set.

    The line of a run of a version that did not measure both has no points.
    """
    splits = ["held_out", "train"]
    tables = [run.loss.reindex(columns=["step", *splits]).dropna() for run in runs]
    groups = [[pd.DataFrame({"x": table["step"], "y": table[split]}) for table in tables] for split in splits]
    rows = [(f"{part} % of the measurements", [_read_at(table, part) for table in groups[0]]) for part in (50, 100)]
    return _chart("Error during training", ("step", "squared error"), groups, ("part of the training", rows))


def chart_noise_levels(runs: Sequence[Run]) -> LineChart:
    """Return the squared error by noise level, on the held-out set and, as second lines, on the training set."""
    tables = [run.levels.sort_values("log_snr") for run in runs]
    groups = [[pd.DataFrame({"x": t["log_snr"], "y": t[key]}) for t in tables] for key in ("held_out", "train")]
    levels = sorted({level for table in tables for level in table["log_snr"]})
    values = [dict(zip(table["log_snr"], table["held_out"], strict=True)) for table in tables]
    rows = [
        (format_number(level), [format_number(item[level]) if level in item else "—" for item in values])
        for level in levels
    ]
    labels = ("log signal-to-noise ratio in nats (left: noise, right: image)", "squared error")
    return _chart("Error by noise level", labels, groups, ("log signal-to-noise ratio", rows))


def _read_at(table: pd.DataFrame, percent: int) -> str:
    """Return the value at a percentage of the rows of a curve as text."""
    return format_number(float(table["y"].iloc[(len(table) - 1) * percent // 100])) if len(table) else "—"


def _chart(
    title: str,
    labels: tuple[str, str],
    groups: Sequence[Sequence[pd.DataFrame]],
    numbers: tuple[str, list[tuple[str, list[str]]]],
) -> LineChart:
    """Return a chart of curves with the columns x and y. A value that is not positive and finite has no place on it."""
    curves = [[table[(table["y"] > 0) & (table["y"] < math.inf)].dropna() for table in group] for group in groups]
    every = pd.concat([table for group in curves for table in group])
    if every.empty:
        return LineChart(title, *labels, [], [], [], numbers)
    left, right = float(every["x"].min()), float(every["x"].max())
    low, high = math.log10(every["y"].min()), math.log10(every["y"].max())
    low, high = low - 0.03 * (high - low) - 0.01, high + 0.03 * (high - low) + 0.01

    def place_x(value: float) -> float:
        return (value - left) / ((right - left) or 1)

    def place_y(value: float) -> float:
        return (high - math.log10(value)) / (high - low)

    lines = [
        Line(number, " ".join(f"{WIDTH * place_x(x):.1f},{HEIGHT * place_y(y):.1f}" for x, y in table.to_numpy()), thin)
        for thin, group in zip((False, True), curves, strict=False)
        for number, table in enumerate(group)
    ]
    x_ticks = _place_ticks(MaxNLocator(5).tick_values(left, right), place_x)
    y_ticks = _place_ticks(LogLocator(subs=(1, 2, 5)).tick_values(10**low, 10**high), place_y)
    return LineChart(title, *labels, lines, x_ticks, y_ticks, numbers)


def _place_ticks(values: Iterable[float], place: Callable[[float], float]) -> list[tuple[float, str]]:
    """Return the place in percent and the text of each tick that lies within the chart."""
    places = ((round(100 * place(float(value)), 2), format_number(float(value))) for value in values)
    return [(share, text) for share, text in places if 0 <= share <= 100]
