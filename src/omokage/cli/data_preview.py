"""Run the stages download, detect and faces in a temporary folder, and collect what they decided."""

import csv
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from omokage.base.errors import UserError
from omokage.data.curation.outcomes import TooFewFacesError
from omokage.pipeline.isolated_job import make_isolated_job

STAGES = ("download", "detect", "faces")
ARCHIVE, MANIFEST = "data/pictures.zip", "data/manifest.json"
DECISIONS, COUNTS = "data/curation.csv", "results/curation.json"
KEPT, LEFT_OUT = "kept", "left out"


@dataclass(frozen=True)
class DataPreview:
    """What the pipeline would do with the images.

    `counts` is the content of results/curation.json. `groups` has the rows of data/curation.csv: those of the kept
    faces under KEPT, and those of the others under the kind of the reason for dropping them. `error` is the message
    with which the stage `faces` would stop the pipeline, or "". `archive` is the zip of the images.
    """

    counts: Mapping[str, Any]
    groups: Mapping[str, Sequence[Mapping[str, str]]]
    error: str
    archive: Path


def preview_data(root: Path, values: Mapping[str, Any], limit: int | None, threads: int, folder: Path) -> DataPreview:
    """Run the stages of the checkout `root` with the parameters `values`; all their outputs are below `folder`.

    With `limit`, only that many images are analysed, spread evenly over the data set. Raises UserError if there are no
    images, or if no face can be looked for.
    """
    if limit is not None and values["source"] == "avatars":
        values = {**values, "avatar_count": min(limit, values["avatar_count"])}
    outputs: dict[str, Path] = {}
    error = ""
    for name in STAGES:
        job = make_isolated_job(root, name, values, threads, folder, outputs)
        outputs |= job.outputs
        try:
            importlib.import_module(f"omokage.stages.{name}").run(job)
        except TooFewFacesError as problem:
            error = "" if limit is not None else str(problem)  # few of the images give few faces
        except UserError as problem:
            if name != "faces" or not outputs[DECISIONS].exists():
                raise
            error = str(problem)
        if name == "download" and limit is not None:
            _keep_some(outputs[ARCHIVE], outputs[MANIFEST], limit)
    counts = json.loads(outputs[COUNTS].read_text(encoding="utf-8"))
    with outputs[DECISIONS].open(encoding="utf-8", newline="") as table:
        groups = _group_rows(list(csv.DictReader(table)), counts["dropped"])
    return DataPreview(counts, groups, error, outputs[ARCHIVE])


def _keep_some(archive: Path, manifest: Path, limit: int) -> None:
    """Remove all but `limit` images from the zip `archive` and its `manifest`; the others are spread evenly over it."""
    listing = json.loads(manifest.read_text(encoding="utf-8"))
    unreadable = [file for file in listing["left_out"] if file["may_be_image"]]
    names = sorted(file["name"] for file in [*listing["pictures"], *unreadable])
    count = min(limit, len(names))
    chosen = {names[index * len(names) // count] for index in range(count)}
    kept = [image for image in listing["pictures"] if image["name"] in chosen]
    left_out = [file for file in listing["left_out"] if file["name"] in chosen or not file["may_be_image"]]
    listing |= {"count": len(kept), "pictures": kept, "left_out": left_out}
    manifest.write_text(json.dumps(listing), encoding="utf-8")
    smaller = archive.with_suffix(".smaller")
    with ZipFile(archive) as source, ZipFile(smaller, "w", ZIP_STORED) as target:
        for image in kept:
            target.writestr(source.getinfo(image["name"]), source.read(image["name"]))
    smaller.replace(archive)


def _group_rows(rows: Sequence[Mapping[str, str]], kinds: Mapping[str, int]) -> dict[str, list[Mapping[str, str]]]:
    """Return the rows of data/curation.csv by group (see DataPreview), the largest groups of dropped faces first."""
    groups: dict[str, list[Mapping[str, str]]] = {KEPT: []}
    for row in rows:
        kind = max((kind for kind in kinds if row["reason"].startswith(kind)), key=len, default=LEFT_OUT)
        groups.setdefault(KEPT if row["fate"] == "kept" else kind, []).append(row)
    kept = groups.pop(KEPT)
    return {KEPT: kept, **dict(sorted(groups.items(), key=lambda group: -len(group[1])))}
