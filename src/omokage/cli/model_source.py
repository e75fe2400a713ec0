"""Find a model, the snapshots of its training and the settings of its samples: in a revision, or next to a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.config.params_file import default_params
from omokage.config.renamed import rename_parameters
from omokage.config.yaml_file import parse_yaml
from omokage.library.guidance_file import find_guidance_file
from omokage.provenance.cached_outputs import find_cached
from omokage.provenance.history import History, Revision
from omokage.provenance.stamped_files import MODEL

SNAPSHOTS = "results/snapshots.safetensors"
# The values of parameters that older runs did not have: guidance applied at all noise levels.
OLDER = {"guidance_min_log_snr": -100.0}


@dataclass(frozen=True)
class ModelSource:
    """A file with a model, that with the snapshots of its training, and the parameters of all stages.

    `snapshots` is None if they are missing, and `remedy` then says what to do.
    """

    model: Path
    snapshots: Path | None
    params: Mapping[str, Any]
    remedy: str


def add_source_options(parser: Any) -> None:
    """Add the options --rev and --model, of which only one may be given."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--rev", default="workspace", help="use the model of this experiment or commit (default: %(default)s)"
    )
    source.add_argument(
        "--model",
        type=Path,
        help="use the model in this file; autoguidance needs snapshots.safetensors or guidance/ next to it",
    )


def find_in_file(path: Path) -> ModelSource:
    """Return the source of a model file outside of a checkout: the file for autoguidance next to it, and defaults.

    Without that file, the parameters have no autoguidance.
    """
    params, remedy = default_params(), f"put {Path(SNAPSHOTS).name} next to {path}"
    if snapshots := find_guidance_file(path):
        return ModelSource(path, snapshots, params, remedy)
    return ModelSource(path, None, {**params, "guidance_scale": 1.0}, remedy)


def find_in_revision(root: Path, name: str) -> ModelSource:
    """Return the model of a revision, and the parameters of its samples, which dvc.lock or else params.yaml lists.

    `name` is "workspace", an experiment or a commit. Raises UserError if there is no such revision, or if neither the
    workspace nor DVC's cache has its model.
    """
    with History(root) as history:
        revision = history.revision(name)
        model, snapshots = (_find_output(history, revision, path) for path in (MODEL, SNAPSHOTS))
        remedy = _describe_remedy(revision)
        if model is None:
            raise UserError(_describe_missing(history, revision))
        recorded = history.locks(revision).get("sample", {}).get("params")
        params = recorded or _read_params(history, revision)
    return ModelSource(model, snapshots, {**default_params(), **OLDER, **params}, remedy)


def _find_output(history: History, revision: Revision, path: str) -> Path | None:
    """Return the file of a revision's output, in the workspace or in DVC's cache, or None if neither has it."""
    place, md5 = history.root / path, _find_md5(history, revision, path)
    if revision.kind == "workspace" and place.is_file():
        return place
    return find_cached(history.root, path, md5) if md5 else None


def _find_md5(history: History, revision: Revision, path: str) -> str | None:
    md5 = history.locks(revision).get("train", {}).get("outs", {}).get(path)
    return None if md5 is None else str(md5)


def _describe_missing(history: History, revision: Revision) -> str:
    """Return the message for a revision without a model."""
    if _find_md5(history, revision, MODEL):
        return f"{revision.name}: its model is not in DVC's cache: {_describe_remedy(revision)}"
    if revision.kind == "workspace":
        return f"there is no model yet ({MODEL}): run `dvc repro train`, or name a model with --rev or --model"
    return f"{revision.name}: its dvc.lock lists no model: name another revision (`omokage gallery` shows all)"


def _describe_remedy(revision: Revision) -> str:
    """Return how to fetch the outputs of a revision."""
    if revision.kind == "workspace":
        return "run `dvc pull train`"
    if revision.kind == "experiment":
        return f"run `dvc exp apply {revision.name}`, then `dvc pull train`"
    return "run `dvc pull --all-commits`"


def _read_params(history: History, revision: Revision) -> dict[str, Any]:
    """Return the parameters in params.yaml of a revision, under their current names."""
    content = history.read(revision, "params.yaml") or b""
    values = parse_yaml(content.decode("utf-8", "replace"), "params.yaml")
    if not isinstance(values, dict):
        raise UserError(f"{revision.name}: params.yaml holds no parameters: restore it, or name another revision")
    return rename_parameters(values)
