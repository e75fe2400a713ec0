"""Read the runs of a checkout for the gallery: every experiment, commit and the workspace, equal runs once."""

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.base.json_file import parse_json
from omokage.comparison.samples import find_objects
from omokage.comparison.scores import drop_older_scores, get_number, list_score_settings
from omokage.comparison.thumbnails import make_thumbnail
from omokage.pipeline.dvc_lock import NAME as LOCK
from omokage.pipeline.timings import UNTIMED
from omokage.provenance.history import Entry, History, Revision
from omokage.provenance.lineage import METRICS, SCORES
from omokage.provenance.locked_runs import CONSTANT
from omokage.stamps.records import read_record, record_path
from omokage.stamps.timings import PATH as TIMINGS
from omokage.stamps.timings import identify_run

ORDER = {"experiment": 0, "commit": 1, "workspace": 2}


@dataclass(frozen=True)
class GalleryRun:
    """A run: its scores, the parameters of all stages, the seconds of each stage whose time is known, and a thumbnail.

    `others` are the names of the other revisions with the same dvc.lock. `thumbnail` is a data URL or None. Runs with
    equal `score_settings` can be compared by their scores.
    """

    revision: Revision
    others: list[str]
    metrics: dict[str, Any]
    params: dict[str, Any]
    seconds: dict[str, float]
    has_all_times: bool
    thumbnail: str | None
    score_settings: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The name of the revision for commands."""
        return name_revision(self.revision)

    @property
    def command(self) -> str:
        """The command that restores the results of the run, or makes them again."""
        steps = {"experiment": f"dvc exp apply {shlex.quote(self.name)} && ", "commit": f"git checkout {self.name} && "}
        return f"{steps.get(self.revision.kind, '')}dvc repro"

    @property
    def total_seconds(self) -> float | None:
        """The seconds of all stages, or None if the time of a stage is unknown."""
        return sum(self.seconds.values()) if self.has_all_times else None


def name_revision(revision: Revision) -> str:
    """Return the name of a revision, or its hash if a command could not take the name."""
    is_usable = revision.name.isprintable() and not revision.name.startswith("-")
    return revision.name if is_usable else revision.commit[:12]


def read_runs(history: History, limit: int) -> tuple[list[GalleryRun], int]:
    """Return the newest runs with a distance, at most `limit`, the newest first, and the number of those left out."""
    groups = sorted(_group_revisions(history), key=lambda group: group[0].time or float("inf"), reverse=True)
    found = [(group, metrics) for group in groups if (metrics := _read_metrics(history, group[0])) is not None]
    objects = find_objects(history)
    return [_read_run(history, group, objects, metrics) for group, metrics in found[:limit]], max(0, len(found) - limit)


def _group_revisions(history: History) -> Iterator[list[Revision]]:
    """Yield the revisions that have the same dvc.lock: experiments, then commits from old to new, then the workspace.

    The oldest commit has the code of the run.
    """
    groups: dict[str, list[Revision]] = {}
    for revision in reversed(history.revisions):
        for file in history.list_files(revision, LOCK):
            groups.setdefault(file.blob, []).append(revision)
    for group in groups.values():
        yield sorted(group, key=lambda revision: ORDER[revision.kind])


def _read_metrics(history: History, revision: Revision) -> dict[str, Any] | None:
    """Return the scores of a revision, or None if it has no distance."""
    content = history.read(revision, SCORES) or history.read(revision, METRICS)
    if content is None:
        return None
    with suppress(UserError):
        metrics = parse_json(content, SCORES)
        if isinstance(metrics, dict) and get_number(metrics, "distance") is not None and history.locks(revision):
            return drop_older_scores(metrics)
    return None


def _read_run(history: History, revisions: Sequence[Revision], objects: Path, metrics: dict[str, Any]) -> GalleryRun:
    revision, *others = revisions
    locks = history.locks(revision)
    params = {key: value for name, entry in locks.items() if name != CONSTANT for key, value in entry["params"].items()}
    # The path of the user's own images belongs to one machine.
    params.pop("folder", None)
    seconds = dict(_find_seconds(history, revision, objects, locks))
    return GalleryRun(
        revision,
        [name_revision(other) for other in others],
        metrics,
        params,
        seconds,
        has_all_times=set(locks) - set(UNTIMED) <= seconds.keys(),
        thumbnail=make_thumbnail(history, revision, objects, locks),
        score_settings=tuple(list_score_settings(metrics, locks).values()),
    )


def _find_seconds(
    history: History, revision: Revision, objects: Path, locks: Mapping[str, Entry]
) -> Iterator[tuple[str, float]]:
    """Yield the stages whose time is known, with their seconds.

    The run records in DVC's cache say which of the times in the revision's timings.json are those of its runs. Without
    a record, the time is known only if the file has a single one.
    """
    timings: Any = None
    with suppress(UserError):
        timings = parse_json(history.read(revision, TIMINGS) or b"{}", TIMINGS)
    for stage, entry in locks.items():
        times = timings.get(stage) if isinstance(timings, dict) else None
        if not isinstance(times, dict) or stage in UNTIMED:
            continue
        run = _identify_record(objects, entry["outs"].get(record_path(stage), ""))
        value = times.get(run) if run else next(iter(times.values())) if len(times) == 1 else None
        if isinstance(value, int | float):
            yield stage, float(value)


@cache
def _identify_record(objects: Path, md5: str) -> str:
    """Return the name of the run that the record with this MD5 describes, or "" if DVC's cache lacks the record."""
    path = objects / md5[:2] / md5[2:]
    with suppress(UserError, OSError):
        return identify_run(read_record(path)) if path.is_file() else ""
    return ""


def find_common_values(runs: Sequence[GalleryRun]) -> dict[str, str | None]:
    """Return the parameters whose values differ, each with the value of more than half of the runs as JSON, or None.

    A run without the parameter, such as one of an older version, does not count.
    """
    common: dict[str, str | None] = {}
    for key in dict.fromkeys(key for run in runs for key in run.params):
        counts = Counter(json.dumps(run.params[key], default=str) for run in runs if key in run.params)
        if len(counts) > 1:
            (value, count), *_ = counts.most_common(1)
            common[key] = value if 2 * count > counts.total() else None
    return common


def find_unusual(run: GalleryRun, common: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the parameters of a run that differ from the values of most runs (see find_common_values)."""
    return {
        key: run.params[key]
        for key, value in common.items()
        if key in run.params and json.dumps(run.params[key], default=str) != value
    }
