"""Stage `faces`: from pictures to shards of faces, with the fate of every picture."""

import json
from zipfile import ZipFile

import torch

from omokage.data import detect, shards
from omokage.data.curate import SPLITS, Curation
from omokage.data.faces import Cropper
from omokage.data.workers import in_order
from omokage.errors import Refused
from omokage.job import Job
from omokage.params.faces import Params

FEWEST = 2  # faces a split


def run(job: Job[Params]) -> None:
    """Write data/faces, data/curation.csv and results/faces.json.

    Raises Refused if there are too few faces to train on and judge against, and if the detector is blind.
    """
    params = job.params
    if params.crop != "whole":
        detect.check()
    archive = job.input("data/pictures.zip")
    with ZipFile(archive) as file:
        names = sorted(file.namelist())
    cropper = Cropper(
        archive, params.image_size, params.crop, params.crop_margin, params.crop_likelihood, params.min_side
    )
    job.work.mkdir(parents=True, exist_ok=True)
    with Curation(job.work, params.image_size, params.held_out) as curation:
        pictures = in_order(cropper, names, job.threads, "finding faces", "picture")
        curation.sort_out(pictures, job.output("data/curation.csv"))
        tally = curation.tally
        if min(tally[split] for split in SPLITS) < FEWEST:
            raise Refused(_too_few(tally))
        folder = job.output("data/faces")
        for split in SPLITS:
            shards.write(folder, split, map(torch.from_numpy, curation.faces(split)))
        curation.write_index(folder / "index.csv")
    job.output("results/faces.json").write_text(json.dumps({"faces": tally}, indent=1) + "\n", encoding="utf-8")
    job.facts.update(faces=tally["kept"], detected=tally["detected"], whole=tally["whole"])


def _too_few(tally: dict[str, object]) -> str:
    dropped = tally["dropped"]
    reasons = ", ".join(f"{count} {kind}" for kind, count in dropped.items()) if isinstance(dropped, dict) else ""
    return (
        f"{tally['pictures']} pictures gave {tally['train']} train and {tally['held_out']} held-out faces (dropped: "
        f"{reasons or 'none'}): expected at least {FEWEST} of each; give more pictures, change held_out or min_side, "
        "or set crop: whole if the pictures are faces already"
    )
