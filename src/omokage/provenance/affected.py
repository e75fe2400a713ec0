"""Find the figures that may change when some stages run."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from omokage.base.files import hash_file
from omokage.config.renamed import rename_parameters, rename_runs
from omokage.pipeline.graph import read_packages, read_stages
from omokage.provenance.stamped_files import load_stamp

FIGURES = "results/figures/"


def find_affected(root: Path, values: Mapping[str, Any], stages_to_run: Collection[str]) -> dict[str, bool]:
    """Return, by file name, whether each figure may change if `stages_to_run` run with the parameters `values`.

    A figure may change if its stamp (embedded metadata) lists one of these stages, or if a parameter, the code or a
    package differs from the stamp. A figure without a stamp may always change.
    """
    upstream = set(stages_to_run) - {"params"}
    return {
        Path(out).name: _may_change(root, root / out, read_packages(root, stage), values, upstream)
        for stage in read_stages(root).values()
        for out in sorted(stage.outs)
        if out.startswith(FIGURES)
    }


def _may_change(
    root: Path, figure: Path, packages: Mapping[str, str], values: Mapping[str, Any], stages_to_run: set[str]
) -> bool:
    stamp = load_stamp(figure) if figure.is_file() else None
    if stamp is None:
        return True
    params = rename_parameters(stamp.get("params", {}))
    return (
        not stages_to_run.isdisjoint(rename_runs(stamp.get("runs", {})))
        or any(values.get(key) != value for key, value in params.items())
        or any(_hash(root / path) != digest for path, digest in stamp.get("code", {}).items())
        or stamp.get("packages") != packages
    )


def _hash(path: Path) -> str:
    return hash_file(path) if path.is_file() else ""
