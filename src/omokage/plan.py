"""What `dvc repro` would run, why and for about how long, and which figures that touches; nothing is changed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from omokage import pipeline, provenance
from omokage.errors import Refused
from omokage.params import whole

FIGURES = "results/figures"


@dataclass(frozen=True)
class Step:
    """A stage that would run: why, the seconds its last run took (None if it never ran), and what it writes."""

    stage: str
    reason: str
    seconds: float | None
    outs: tuple[str, ...]


def changed(values: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return the parameters with settings such as "lr=1e-4" made; raise Refused as `dvc repro` would."""
    made = dict(values)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise Refused(f"-S {setting}: expected KEY=VALUE, such as lr=1e-4")
        try:
            made[key] = YAML(typ="safe", pure=True).load(text)
        except YAMLError as error:
            raise Refused(f"-S {setting}: the value is no YAML") from error
    whole.check(made, "-S")
    return made


def steps(root: Path, values: Mapping[str, Any]) -> list[Step]:
    """Return the stages that would run with these parameters, in their order.

    A stage that comes out as before would spare those after it: then less is run.
    """
    stages, reasons, times = pipeline.read(root), pipeline.stale(root, values), root / "results" / "timings.json"
    took = json.loads(times.read_text(encoding="utf-8")) if times.is_file() else {}
    return [
        Step(name, reason, took.get(name, {}).get("seconds"), stages[name].outs) for name, reason in reasons.items()
    ]


def figures(root: Path, values: Mapping[str, Any], run: Iterable[Step]) -> dict[str, bool]:
    """Return whether each figure may look different after these steps, as what it is stamped with tells."""
    stages = {step.stage for step in run} - {"params"}
    return {
        path.name: _touched(root, provenance.read(path), values, stages)
        for path in sorted((root / FIGURES).glob("*.*"))
        if path.suffix in (".png", ".svg", ".gif")
    }


def _touched(root: Path, stamp: provenance.Stamp, values: Mapping[str, Any], stages: set[str]) -> bool:
    return (
        not stages.isdisjoint(stamp["runs"])
        or any(values.get(key) != value for key, value in stamp["params"].items())
        or any(_digest(root / path) != was for path, was in stamp["code"].items())
    )


def _digest(path: Path) -> str:
    return pipeline.digest(path) if path.is_file() else ""
