"""Stage `faces`: from pictures, and where the faces are in them, to shards of faces and the fate of every picture."""

import json
from typing import Any

import torch
from safetensors.numpy import save_file

from omokage.data import curate, cuts, shards
from omokage.data.card import card
from omokage.data.curate import SPLITS, Limits
from omokage.data.cuts import Cutter
from omokage.data.faces import Cropper
from omokage.data.pieces import Pieces
from omokage.errors import Refused
from omokage.job import Job
from omokage.params.faces import Params

FEWEST = 2  # faces a split
PIXELS = 2**22  # of a face each of a piece's pictures, which are held at once


def run(job: Job[Params]) -> None:
    """Write the shards, the table of fates, the counts and the data card; raise Refused for too few faces."""
    p = job.params
    pieces = _pieces(job).made(job.threads, "cutting faces")
    known, signs = cuts.read(pieces)
    limits = Limits(p.min_sharpness, p.min_contrast, p.min_colour, p.near_duplicates)
    fates = curate.fates(known, signs, limits, job.threads)
    sides = curate.sides(known, fates, p.held_out)
    tally = curate.tally(known, fates, sides)
    if min(tally[split] for split in SPLITS) < FEWEST:
        raise Refused(_too_few(tally))
    curate.write_fates(job.output("data/curation.csv"), known, fates)
    folder = job.output("data/faces")
    for split in SPLITS:
        wanted = [side == split for one, side in zip(known, sides, strict=True) if one.pixels]
        shards.write(folder, split, map(torch.from_numpy, cuts.pixels(pieces, wanted)))
    curate.write_index(folder / "index.csv", known, sides)
    save_file(
        card(job.input("data/pictures.zip"), pieces, known, fates, sides, signs), job.output("data/card.safetensors")
    )
    job.output("results/faces.json").write_text(json.dumps({"faces": tally}, indent=1) + "\n", encoding="utf-8")
    job.facts.update(faces=tally["kept"], detected=tally["detected"], whole=tally["whole"])


def part(job: Job[Params], number: int, parts: int) -> None:
    """Cut the faces out of every `parts`-th batch of pictures, from the `number`-th on, in the work folder."""
    _pieces(job).made(job.threads, f"cutting faces, part {number + 1} of {parts}", (number, parts))


def _pieces(job: Job[Params]) -> Pieces:
    p, seen = job.params, job.input("data/sightings.csv")
    cropper = Cropper(p.image_size, p.crop_margin, p.crop_likelihood, p.faces_per_picture, p.min_side)
    cutter = Cutter(job.input("data/pictures.zip"), seen, cropper)
    return Pieces(job.work, cutter, len(cuts.seen(seen)), max(1, PIXELS // p.image_size**2))


def _too_few(tally: dict[str, Any]) -> str:
    reasons = ", ".join(f"{count} {kind}" for kind, count in tally["dropped"].items())
    return (
        f"{tally['pictures']} pictures gave {tally['train']} train and {tally['held_out']} held-out faces (dropped: "
        f"{reasons or 'none'}): expected at least {FEWEST} of each; give more pictures, change held_out, min_side or "
        "what else drops them, or set crop: whole if the pictures are faces already"
    )
