"""Stage `faces`: crop and filter the detected faces, then split them into a training set and a held-out set."""

import torch
from safetensors.numpy import save_file

from omokage.base.job import Job
from omokage.base.json_file import read_json
from omokage.data.curation import crop_files, curate, outcomes
from omokage.data.curation.copies import choose_tolerance
from omokage.data.curation.curate import QualityLimits
from omokage.data.curation.data_card import build_data_card
from omokage.data.curation.face_cropper import FaceCropper
from omokage.data.curation.face_sets import write_face_sets
from omokage.data.curation.groups import find_groups
from omokage.data.curation.splits import assign_splits, choose_sides
from omokage.data.images.chunks import ChunkedWork
from omokage.params.faces import Params

CHUNK_PIXELS = 2**22  # maximum pixels in memory at once: those of a chunk's faces, at one face per image


def run(job: Job[Params]) -> None:
    """Write the face shards, the table of decisions, the counts of faces and the arrays of the data card.

    Raises UserError if too many images are dropped or a split has too few faces, after writing decisions and counts.
    """
    p, archive = job.params, job.input("data/pictures.zip")
    torch.set_num_threads(1)  # for each thread of the search for copies, which takes many small steps
    chunks = _chunked_crops(job).compute_all(job.threads, "cropping faces")
    manifest = read_json(job.input("data/manifest.json"))
    records, descriptors = crop_files.read_crops(chunks)
    tolerance = choose_tolerance(p.copies, manifest["source"])
    face_groups, groups = find_groups(records, crop_files.read_previews(chunks), tolerance, job.threads)
    limits = QualityLimits(p.min_sharpness, p.min_contrast, p.min_colour, p.near_duplicates)
    sides = choose_sides(records, groups, p.held_out)
    decisions = curate.decide_curation(records, descriptors, face_groups, sides, limits, job.threads)
    splits = assign_splits(sides, decisions)
    counts = outcomes.count_outcomes(records, decisions, splits)
    outcomes.check_sums(counts, manifest, len(records))
    outcomes.write_decisions(job.output("data/curation.csv"), records, decisions)
    outcomes.write_counts(job.output("results/curation.json"), job.output("results/faces.json"), counts)
    outcomes.check_dropped(counts, records, decisions, p.max_dropped)
    write_face_sets(job.output("data/faces"), chunks, records, splits)
    card = build_data_card(archive, chunks, records, decisions, splits, descriptors)
    save_file(card, job.output("data/card.safetensors"))
    job.facts.update(faces=counts["kept"], detected=counts["detected"], whole=counts["whole"])


def run_part(job: Job[Params], number: int, parts: int) -> None:
    """Crop the faces of every `parts`-th chunk of images, from chunk `number` on, into the work folder."""
    _chunked_crops(job).compute_all(job.threads, f"cropping faces, part {number + 1} of {parts}", (number, parts))


def _chunked_crops(job: Job[Params]) -> ChunkedWork:
    p, detections = job.params, job.input("data/detections.csv")
    cropper = FaceCropper(p.image_size, p.crop_margin, p.crop_likelihood, p.faces_per_picture, p.min_side)
    writer = crop_files.CropWriter(job.input("data/pictures.zip"), detections, cropper)
    total = len(crop_files.load_detections(detections))
    return ChunkedWork(job.work, writer, total, max_items=max(1, CHUNK_PIXELS // p.image_size**2))
