"""Render the gallery: one HTML page of all runs, which loads no other file and can be read without its script."""

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from omokage.comparison.gallery_runs import GalleryRun, find_common_values, find_unusual
from omokage.comparison.scores import LABELS, Bar, ScoreChart, get_number, make_bar
from omokage.comparison.template import FOLDER, format_setting, render

HEADLINE = ("distance", "kid")
MAX_COMPARED = 6


class Card(NamedTuple):
    """A run on the page. `group` counts from 0 and is shared by the runs whose scores can be compared."""

    run: GalleryRun
    group: int
    unusual: dict[str, Any]
    bars: list[tuple[ScoreChart, Bar]]


def render_gallery(runs: Sequence[GalleryRun], left_out: int) -> str:
    """Return the page as HTML, with the runs in the order of their distance. `left_out` is the number of older runs."""
    common = find_common_values(runs)
    cards = _list_cards(runs, common)
    script = (FOLDER / "gallery.js").read_text(encoding="utf-8")
    scores = [key for key in LABELS if any(get_number(run.metrics, key) is not None for run in runs)]
    return render(
        "gallery.html.j2",
        script=script,
        cards=cards,
        left_out=left_out,
        groups=max((card.group for card in cards), default=0) + 1,
        scores=[(key, *LABELS[key]) for key in scores],
        params=list(common),
        max_compared=MAX_COMPARED,
        data=_render_data(cards, scores, common),
    )


def _list_cards(runs: Sequence[GalleryRun], common: Mapping[str, str | None]) -> list[Card]:
    """Return the cards: the largest group with the same settings of the scores first, then by distance."""
    sizes = Counter(run.score_settings for run in runs)
    groups = {settings: number for number, (settings, _) in enumerate(sizes.most_common())}
    charts = {
        (settings, key): ScoreChart(
            LABELS[key][0],
            LABELS[key][1],
            [make_bar(run.metrics, key) for run in runs if run.score_settings == settings],
            "",
        )
        for settings in groups
        for key in HEADLINE
    }
    ordered = sorted(runs, key=lambda run: (groups[run.score_settings], run.metrics["distance"]))
    return [
        Card(
            run,
            groups[run.score_settings],
            find_unusual(run, common),
            [
                (charts[run.score_settings, key], make_bar(run.metrics, key))
                for key in HEADLINE
                if get_number(run.metrics, key) is not None
            ],
        )
        for run in ordered
    ]


def _render_data(cards: Sequence[Card], scores: Sequence[str], common: Mapping[str, str | None]) -> str:
    """Return what the script needs to sort, filter and compare, as JSON that is safe inside a script element."""
    items = [
        {
            "name": shlex.quote(card.run.name),
            "group": card.group,
            "time": card.run.revision.time or None,
            "seconds": card.run.total_seconds,
            **{key: get_number(card.run.metrics, key) for key in scores},
            "params": {key: _make_sortable(card.run.params, key) for key in common if key in card.run.params},
            "texts": {key: format_setting(card.run.params[key]) for key in common if key in card.run.params},
        }
        for card in cards
    ]
    return json.dumps(items, separators=(",", ":"), default=str).replace("<", "\\u003c")


def _make_sortable(params: Mapping[str, Any], key: str) -> float | str:
    number = get_number(params, key)
    return format_setting(params[key]) if number is None else number


def describe_runs(runs: Sequence[GalleryRun]) -> list[dict[str, Any]]:
    """Return the runs as JSON values, for scripts."""
    common = find_common_values(runs)
    return [
        {
            "name": run.name,
            "kind": run.revision.kind,
            "commit": run.revision.commit,
            "date": run.revision.date,
            "same_results": run.others,
            "scores": run.metrics,
            "differing_params": find_unusual(run, common),
            "seconds": run.seconds,
            "command": run.command,
        }
        for run in runs
    ]
