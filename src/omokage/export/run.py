"""Find the trained model of a revision, and what is recorded about the run that trained it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.base.json_file import parse_json
from omokage.pipeline.dvc_lock import hash_md5
from omokage.provenance.cached_outputs import find_cached
from omokage.provenance.history import WORKSPACE, History, Revision
from omokage.provenance.identify import Identification, Verdict
from omokage.provenance.lineage import SAMPLES, SCORES, Lineage
from omokage.provenance.locked_runs import describe_runs, find_outputs
from omokage.provenance.reproduce import find_commands
from omokage.provenance.stamped_files import MODEL

SNAPSHOTS, MANIFEST, COUNTS = "results/snapshots.safetensors", "data/manifest.json", "results/curation.json"
FIGURE = "results/figures/samples.png"


@dataclass(frozen=True)
class Run:
    """A run whose model can be exported.

    `model` is the model file. `params` has the parameters by stage, without the path of the user's own images.
    `manifest` describes the data set, `counts` are the numbers of curation.json, and `scores` those of scores.json; the
    last two are empty if the revision does not have them. `figure` is the PNG of samples, `samples` the file of samples
    (None: not found). `commits` are the commits and experiments with the run, `commands` reproduce it.
    """

    history: History
    revision: Revision
    model: Path
    params: dict[str, dict[str, Any]]
    manifest: dict[str, Any]
    counts: dict[str, Any]
    scores: dict[str, Any]
    figure: bytes | None
    samples: Path | None
    commits: list[Revision]
    commands: list[str]

    def find_snapshots(self) -> Path:
        """Return the file of training snapshots. Raises UserError if neither the checkout nor the cache has it."""
        return find_file(self.history, self.revision, SNAPSHOTS, _list_outs(self.history, self.revision)[SNAPSHOTS])


def find_run(history: History, revision: Revision) -> Run:
    """Return the run of a revision whose dvc.lock lists a model and the samples of this model.

    Raises UserError if it lists none, or if neither the checkout nor DVC's cache has the model.
    """
    outs, locks = _list_outs(history, revision), history.locks(revision)
    name = "this checkout" if revision == WORKSPACE else str(revision)
    if MODEL not in outs:
        advice = "run `make` or `dvc repro`" if revision == WORKSPACE else "choose another --rev"
        raise UserError(f"{name} has no model yet: expected {MODEL} in dvc.lock: {advice}")
    if SAMPLES not in outs or locks["sample"]["deps"].get(MODEL) != outs[MODEL]:
        raise UserError(f"{name} has no samples of its model, so its settings are not known: run `dvc repro sample`")
    if revision == WORKSPACE and (history.root / MODEL).exists() and hash_md5(history.root / MODEL) != outs[MODEL]:
        raise UserError(f"{MODEL} is not the model that dvc.lock lists: run `dvc repro`, or `dvc commit` to record it")
    model = find_file(history, revision, MODEL, outs[MODEL])
    locations = [found for found in find_outputs(history, outs[SAMPLES]) if found.path == SAMPLES]
    # The entries of other revisions may belong to another model with the same samples.
    locations.sort(key=lambda found: found.revision != revision)
    lineage = Lineage(history, Identification(Verdict.RECORDED, "", describe_runs(history, locations), locations))
    if "download" not in lineage.runs:
        raise UserError(f"the dvc.lock of {name} mixes several runs: run `dvc repro`")
    manifest = find_file(history, revision, MANIFEST, outs[MANIFEST])
    figure = _read_output(history, revision, FIGURE, outs)
    return Run(
        history,
        revision,
        model,
        params=lineage.params,
        manifest={key: value for key, value in _read_json(manifest).items() if key not in ("pictures", "left_out")},
        counts=parse_json(_read_output(history, revision, COUNTS, outs) or b"{}", COUNTS),
        scores=_read_scores(history, revision, outs),
        figure=figure if locks.get("figures", {"deps": {}})["deps"].get(SAMPLES) == outs[SAMPLES] else None,
        samples=find_cached(history.root, SAMPLES, outs[SAMPLES]),
        commits=[found for found in lineage.revisions if found.kind != "workspace"],
        commands=find_commands(lineage),
    )


def find_revision_of_model(history: History, model: Path) -> Revision:
    """Return the revision whose model is the file `model`. Raises UserError if no dvc.lock lists the file."""
    locations = [found for found in find_outputs(history, hash_md5(model)) if found.path == MODEL]
    if not locations:
        raise UserError(
            f"{model} is not the model of a recorded run: no dvc.lock lists its MD5: name the run with --rev"
        )
    with_samples = [
        found.revision
        for found in locations
        if history.locks(found.revision).get("sample", {"deps": {}})["deps"].get(MODEL) == found.md5
    ]
    return [*with_samples, locations[0].revision][0]


def find_file(history: History, revision: Revision, path: str, md5: str) -> Path:
    """Return a file with this MD5, at `path` in the checkout or in DVC's cache. Raises UserError if neither has it."""
    if found := find_cached(history.root, path, md5):
        return found
    steps = {
        "workspace": f"run `dvc pull {path}`, or `dvc repro`",
        "experiment": f"run `dvc exp apply {revision.name} && dvc pull {path}`",
        "commit": f"run `dvc pull` in a checkout of {revision.name}, or `dvc fetch --all-commits`",
    }
    raise UserError(f"{path} of {revision} is neither in this checkout nor in DVC's cache: {steps[revision.kind]}")


def _list_outs(history: History, revision: Revision) -> dict[str, str]:
    return {path: md5 for entry in history.locks(revision).values() for path, md5 in entry["outs"].items()}


def _read_output(history: History, revision: Revision, path: str, outs: Mapping[str, str]) -> bytes | None:
    """Return the bytes of an output that git tracks, or None if they are not those that dvc.lock lists."""
    content = history.read(revision, path)
    return content if content is not None and hashlib.md5(content).hexdigest() == outs.get(path) else None


def _read_scores(history: History, revision: Revision, outs: Mapping[str, str]) -> dict[str, Any]:
    """Return the scores of the revision's samples, or {} if they are not recorded."""
    is_theirs = history.locks(revision).get("evaluate", {"deps": {}})["deps"].get(SAMPLES) == outs[SAMPLES]
    content = _read_output(history, revision, SCORES, outs) if is_theirs else None
    return dict(parse_json(content or b"{}", SCORES))


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
