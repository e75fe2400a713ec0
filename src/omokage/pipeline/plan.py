"""Predict what `dvc repro` would run, why, and for about how long, without changing anything."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omokage.base.environment import read_positive
from omokage.base.errors import UserError
from omokage.config.params_file import check_params
from omokage.config.yaml_file import parse_yaml
from omokage.pipeline.durations import predict_duration
from omokage.pipeline.dvc_lock import get_hashes, has_same_run, hash_dependency, read_lock
from omokage.pipeline.dvc_run_cache import RunCache
from omokage.pipeline.graph import Stage, fill_in, locate, read_stages
from omokage.pipeline.stale import find_stale
from omokage.pipeline.workflow import THREADS


@dataclass(frozen=True)
class Step:
    """A stage that would run, the reasons, and the seconds that it will take on this machine (None if unknown).

    `restored` means that DVC would not run the stage, because its run-cache holds the results of the same run.
    Restoring them takes about a second.
    """

    stage: str
    reasons: tuple[str, ...]
    seconds: float | None
    restored: bool


def apply_settings(values: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return the parameters with `settings`, such as "lr=1e-4", applied; raise UserError for an invalid setting."""
    changed = dict(values)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f"-S {setting}: expected KEY=VALUE, such as lr=1e-4")
        changed[key] = parse_yaml(text, f"-S {setting}: the value")
    check_params(changed, "-S" if changed != values else "params.yaml")
    return changed


def plan_steps(root: Path, values: Mapping[str, Any]) -> list[Step]:
    """Return the stages that would run with these parameters, in the order of dvc.yaml.

    If a stage's output does not change, DVC skips the stages after it, so fewer may run.
    """
    stages, reasons, locked = read_stages(root), find_stale(root, values), read_lock(root)
    for name, stage in stages.items():
        # Snakemake without DVC updates the run record but not dvc.lock, so that DVC would run the stage again.
        if name not in reasons and not has_same_run(root, stage, locked.get(name, {})):
            reasons[name] = [f"dvc.lock and {stage.record} describe different runs"]
    restored = _find_restored(root, stages, values, locked, reasons.keys())
    threads, has_new_data = read_positive("OMOKAGE_THREADS", THREADS), "download" in reasons.keys() - restored

    def predict(name: str) -> float | None:
        return None if name in restored else predict_duration(root, name, values, threads, has_new_data)

    return [Step(name, tuple(reasons[name]), predict(name), name in restored) for name in stages if name in reasons]


def _find_restored(
    root: Path,
    stages: Mapping[str, Stage],
    values: Mapping[str, Any],
    locked: Mapping[str, Any],
    stale: Collection[str],
) -> set[str]:
    """Return those of the `stale` stages that DVC would restore from its run-cache instead of running them."""
    cache, restored = RunCache(root), set()
    # The MD5 that each output will have after `dvc repro`; None if it cannot be known before.
    outs: dict[str, str | None] = {out: None for stage in stages.values() for out in stage.outs}
    for name, stage in stages.items():
        hashes = {dep: outs[dep] if dep in outs else _hash(root, dep, values) for dep in stage.deps}
        deps = {fill_in(dep, values): digest for dep, digest in hashes.items() if digest}
        if name not in stale:
            outs |= get_hashes(locked.get(name, {}), "outs")
        elif len(deps) == len(hashes) and (restored_outs := cache.find_outs(stage, values, deps)):
            outs |= restored_outs
            restored.add(name)
    return restored


def _hash(root: Path, dep: str, values: Mapping[str, Any]) -> str | None:
    path = locate(root, dep, values)
    return hash_dependency(root, dep, path) if path.exists() else None
