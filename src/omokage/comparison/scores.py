"""Arrange the scores of several runs: bars with intervals and floors, and which run is the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from omokage.comparison.template import isolate
from omokage.report.wording import format_number, join_words

FACES = "data/faces"
LOWER, HIGHER = "lower is better", "higher is better"
# The label of each score, and which values are better ("" if neither lower nor higher values are).
LABELS = {
    "distance": ("Fréchet distance", LOWER),
    "kid": ("KID", LOWER),
    "precision": ("Precision", HIGHER),
    "recall": ("Recall", HIGHER),
    "density": ("Density", HIGHER),
    "coverage": ("Coverage", HIGHER),
    "face_rate": ("Share of samples with a face", HIGHER),
    "distance_train": ("Fréchet distance to the training set", ""),
    "copied": ("Suspected copies of training faces", ""),
    "close": ("Samples close to the training set", ""),
    "copy_ratio": ("Copy ratio", ""),
    "identical": ("Samples that repeat an earlier one", LOWER),
    "near_identical": ("Samples nearly identical to another", ""),
    "uniform": ("Samples of a single colour", LOWER),
    "distinct": ("Different samples", ""),
    "colour_variety": ("Variety of the colours (1: as real faces)", ""),
}
GROUP_LABELS = {"style": "Style compared with held-out faces", "copies": "Suspected copies by kind"}
MEASURE_LABELS = {
    **{colour: f"{colour} shift (of 255)" for colour in ("red", "green", "blue")},
    **{name: f"{name} (ratio to held-out faces)" for name in ("contrast", "saturation", "sharpness")},
}
# Numbers among the scores that are settings of the computation.
SETTINGS = {
    "score": "score",
    "extractor": "feature extractor",
    "resize": "resizing",
    "n": "number of samples",
    "n_reference": "number of real faces",
    "seed": "seed of the scores",
    "feature_variance": "variance of the features of real faces",
}
# Numbers of faces, and what each search for copies finds: no scores.
NO_SCORES = ("searched", "searches", "style_histograms")
# Scores computed with other values of these settings, or with other real faces, are not comparable.
COMPARABLE = ("extractor", "resize", "n", "n_reference")
PARTS = ("low", "high", "floor")


@dataclass(frozen=True)
class Bar:
    """A score of one run. `low` and `high` are the ends of the 95 % interval. None means unknown.

    `mark` says whether this is the best value.
    """

    value: float | None
    low: float | None
    high: float | None
    floor: float | None
    mark: str = ""


@dataclass(frozen=True)
class ScoreChart:
    """A score of all runs, one bar each, in the order of the runs. `verdict` says which is the best."""

    label: str
    direction: str
    bars: list[Bar]
    verdict: str

    def place(self, value: float) -> float:
        """Return the place of a value on the axis in percent. The axis has zero and leaves 3 % at each end."""
        numbers = [n for bar in self.bars for n in (bar.value, bar.low, bar.high, bar.floor) if n is not None]
        low, high = min(0.0, *numbers), max(1e-9, *numbers)
        start = 3 if low < 0 else 0
        return round(start + (97 - start) * (value - low) / (high - low), 2)


def list_score_settings(metrics: Mapping[str, Any], locks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings that the scores of a run were computed with, by name; an unknown one has the value None.

    `locks` are the entries of dvc.lock, or run records, by stage.
    """
    faces = locks.get("evaluate", {}).get("deps", {}).get(FACES)
    return {SETTINGS[key]: metrics.get(key) for key in COMPARABLE} | {"real faces": faces}


def drop_older_scores(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores without `copied` and `copy_ratio` if they have an older meaning: there are no copies by kind."""
    older = () if "copies" in metrics else ("copied", "copied_floor", "copy_ratio", "copy_ratio_floor")
    return {key: value for key, value in metrics.items() if key not in older}


def chart_scores(metrics: Sequence[Mapping[str, Any]], names: Sequence[str], is_comparable: bool) -> list[ScoreChart]:
    """Return a chart of every score that is a single number. Without `is_comparable`, none is marked as best."""
    charts = []
    for key in _list_scores(metrics):
        label, direction = LABELS.get(key, (key.replace("_", " ").capitalize(), ""))
        bars = [make_bar(item, key) for item in metrics]
        charts.append(_judge(ScoreChart(label, direction if is_comparable else "", bars, ""), names))
    return charts


def make_bar(metrics: Mapping[str, Any], key: str) -> Bar:
    """Return the bar of a score, from the scores of a run."""
    low, high, floor = (get_number(metrics, f"{key}_{part}") for part in PARTS)
    return Bar(get_number(metrics, key), low, high, floor)


def _list_scores(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys of the scores, those with a label first."""
    keys = dict.fromkeys(key for item in metrics for key in item if get_number(item, key) is not None)
    found = [key for key in keys if not key.endswith(tuple(f"_{part}" for part in PARTS)) and key not in SETTINGS]
    return sorted(found, key=lambda key: [*LABELS].index(key) if key in LABELS else len(LABELS))


def get_number(metrics: Mapping[str, Any], key: str) -> float | None:
    """Return a score if it is a finite number, otherwise None."""
    value = metrics.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None


def _judge(chart: ScoreChart, names: Sequence[str]) -> ScoreChart:
    """Return the chart with the best bars marked, and a sentence about ties and overlapping intervals."""
    known = {number: bar.value for number, bar in enumerate(chart.bars) if bar.value is not None}
    if not chart.direction or len(known) < 2:
        return chart
    best_value = (min if chart.direction == LOWER else max)(known.values())
    best = [number for number, value in known.items() if value == best_value]
    if len(best) == len(known):
        return ScoreChart(chart.label, chart.direction, chart.bars, "All values are equal.")
    overlapping = [
        number
        for number in known
        if number not in best and any(_overlap(chart.bars[number], chart.bars[other]) for other in best)
    ]
    marks = {**dict.fromkeys(best, "best" if len(best) == 1 else "best, tied")}
    marks |= dict.fromkeys(overlapping, "overlaps")
    verdict = f"Best: {join_words([isolate(names[number]) for number in best])}."
    if len(best) > 1:
        verdict = verdict[:-1] + ", which are equal."
    if overlapping:
        others, plural = join_words([isolate(names[number]) for number in overlapping]), len(overlapping) > 1
        verdict += f" The interval{'s' if plural else ''} of {others} overlap{'' if plural else 's'} that of the best."
    bars = [replace(bar, mark=marks.get(number, "")) for number, bar in enumerate(chart.bars)]
    return ScoreChart(chart.label, chart.direction, bars, verdict)


def _overlap(a: Bar, b: Bar) -> bool:
    """Return whether the intervals of two bars overlap, or one value lies in the other's interval. False if unknown."""
    a_low, a_high, b_low, b_high = (
        end if end is not None else bar.value for bar in (a, b) for end in (bar.low, bar.high)
    )
    if a_low is None or a_high is None or b_low is None or b_high is None or (a_low == a_high and b_low == b_high):
        return False
    return a_low <= b_high and b_low <= a_high


def tabulate_measures(metrics: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[str, list[str]]]]:
    """Return tables of the scores that consist of several measures, by heading.

    A row has the label of a measure, and its value in each run with the floor in brackets.
    """
    groups = dict.fromkeys(
        key
        for item in metrics
        for key, value in item.items()
        if isinstance(value, dict) and not key.endswith("_floor") and key not in NO_SCORES
    )
    tables = {}
    for group in groups:
        values = [item.get(group) or {} for item in metrics]
        floors = [item.get(f"{group}_floor") or {} for item in metrics]
        keys = dict.fromkeys(key for item in values for key in item)
        tables[GROUP_LABELS.get(group, group.replace("_", " "))] = [
            (
                MEASURE_LABELS.get(key, key.replace("_", " ")),
                [_format_measure(value, floor, key) for value, floor in zip(values, floors, strict=True)],
            )
            for key in keys
        ]
    return tables


def _format_measure(values: Mapping[str, Any], floors: Mapping[str, Any], key: str) -> str:
    value, floor = get_number(values, key), get_number(floors, key)
    text = "—" if value is None else format_number(value)
    return text if floor is None else f"{text} (floor {format_number(floor)})"


def tabulate_settings(metrics: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return the settings with which the scores were computed, with the value in each run."""
    keys = dict.fromkeys(
        key for item in metrics for key, value in item.items() if key in SETTINGS or isinstance(value, str)
    )
    return [(SETTINGS.get(key, key.replace("_", " ")), [str(item.get(key, "—")) for item in metrics]) for key in keys]
