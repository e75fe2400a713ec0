"""What `dvc repro` would run, why and for about how long, and which figures that touches; nothing is changed."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omokage import lock, pipeline, provenance
from omokage.errors import Refused
from omokage.params import whole
from omokage.pipeline import Stage
from omokage.run_cache import RunCache

FIGURES = "results/figures/"


@dataclass(frozen=True)
class Step:
    """A stage that would run: why, and the seconds its last run took (None if it never ran).

    If the very same ran before, DVC restores what it made, within a second.
    """

    stage: str
    reasons: tuple[str, ...]
    seconds: float | None
    restored: bool


def changed(values: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return the parameters with settings such as "lr=1e-4" made; raise Refused as `dvc repro` would."""
    made = dict(values)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise Refused(f"-S {setting}: expected KEY=VALUE, such as lr=1e-4")
        made[key] = whole.parse(text, f"-S {setting}: the value")
    whole.check(made, "-S")
    return made


def steps(root: Path, values: Mapping[str, Any]) -> list[Step]:
    """Return the stages that would run with these parameters, in their order.

    A stage that comes out as before would spare those after it: then less is run.
    """
    stages, reasons, times = pipeline.read(root), pipeline.stale(root, values), root / "results" / "timings.json"
    took = json.loads(times.read_text(encoding="utf-8")) if times.is_file() else {}
    locked = lock.read(root)
    for name, stage in stages.items():
        # What Snakemake has run alone, DVC knows nothing of.
        if name not in reasons and not lock.tells_of_the_record(root, stage, locked.get(name, {})):
            reasons[name] = ["dvc.lock tells of another run than the stage's record"]
    restored = _restored(root, stages, values, locked, reasons.keys())
    return [
        Step(name, tuple(reasons[name]), took.get(name, {}).get("seconds"), name in restored)
        for name in stages
        if name in reasons
    ]


def _restored(
    root: Path, stages: Mapping[str, Stage], values: Mapping[str, Any], locked: Mapping[str, Any], run: Collection[str]
) -> set[str]:
    """Return those of the stages to run that DVC restores: what they take, by their makers' hashes, is known."""
    cache, restored = RunCache(root), set()
    made: dict[str, str | None] = {out: None for stage in stages.values() for out in stage.outs}
    for name, stage in stages.items():
        hashes = {dep: made[dep] if dep in made else _md5(pipeline.locate(root, dep, values)) for dep in stage.deps}
        deps = {pipeline.filled(dep, values): found for dep, found in hashes.items() if found}
        if name not in run:
            made |= lock.hashes(locked.get(name, {}), "outs")
        elif len(deps) == len(hashes) and (found := cache.outs(stage, values, deps)):
            made |= found
            restored.add(name)
    return restored


def _md5(place: Path) -> str | None:
    return lock.md5(place) if place.exists() else None


def figures(root: Path, values: Mapping[str, Any], run: Iterable[Step]) -> dict[str, bool]:
    """Return whether each figure may look different after these steps, as what it is stamped with tells."""
    stages = {step.stage for step in run} - {"params"}
    return {
        Path(out).name: _touched(root, root / out, pipeline.packages(root, stage), values, stages)
        for stage in pipeline.read(root).values()
        for out in sorted(stage.outs)
        if out.startswith(FIGURES)
    }


def _touched(
    root: Path, figure: Path, packages: Mapping[str, str], values: Mapping[str, Any], stages: set[str]
) -> bool:
    try:
        stamp = provenance.read(figure)
    except Refused:
        # It is not there, or not what the stage made.
        return True
    return (
        not stages.isdisjoint(stamp["runs"])
        or any(values.get(key) != value for key, value in stamp["params"].items())
        or any(_digest(root / path) != was for path, was in stamp["code"].items())
        or stamp["packages"] != packages
    )


def _digest(path: Path) -> str:
    return pipeline.digest(path) if path.is_file() else ""
