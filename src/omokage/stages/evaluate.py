"""Stage `evaluate`: score the samples, and real training faces as a baseline (the floor), against held-out faces."""

import torch
from safetensors.torch import load_file

from omokage.base.job import Job
from omokage.compute.device import describe_device, prepare_device
from omokage.data import shards
from omokage.evaluation.features.extractors import EXTRACTORS
from omokage.evaluation.features.reference import read_features
from omokage.evaluation.scores.copies import search_copies
from omokage.evaluation.scores.face_rate import compute_face_rates
from omokage.evaluation.scores.metrics import (
    check_counts,
    compute_distances,
    compute_metrics,
    select_headlines,
)
from omokage.evaluation.scores.tables import write_neighbours, write_scores, write_table
from omokage.params.evaluate import Params
from omokage.sampling.sample_sets import load_sample_sets

# The columns before the scores in the tables of sample sets. `pictures` counts the training images up to that step.
COLUMNS = {"progress": ("step", "pictures"), "study": ("weights", "sampler", "evaluations")}


def run(job: Job[Params]) -> None:
    """Write the scores of the samples, their nearest real faces, and the scores of the other sample sets.

    Only as many samples are scored as there are training faces in the reference, so that the floor has the same n.
    Raises UserError if there are too few images.
    """
    p, device = job.params, prepare_device(job.threads)
    extractor = EXTRACTORS[p.extractor](device, job.input("data/extractor_weights"))
    folder = job.input("data/reference")
    reference = {split: read_features(folder / f"{split}.safetensors", extractor) for split in shards.SPLITS}
    samples = load_file(job.input("results/samples.safetensors"))["samples"]
    job.facts.update(device=describe_device(device), weights_sha256=extractor.weights_sha256, samples=len(samples))
    check_counts(samples, reference)
    samples = samples[: len(reference["train"])]
    sample_sets = {kind: load_sample_sets(job.input(f"results/{kind}.safetensors")) for kind in COLUMNS}
    batches = [samples, *(images for sets in sample_sets.values() for _, images in sets)]
    features, *set_features = extractor.compute_features(torch.cat(batches)).split([len(batch) for batch in batches])
    faces = {split: shards.read_faces(job.input("data/faces"), split) for split in shards.SPLITS}
    search = search_copies(samples, features, faces, reference, device)
    scores = compute_metrics(p, extractor, samples, features, reference, faces) | search.scores
    scores |= compute_face_rates(samples.numpy(), faces["held_out"].numpy())
    write_scores(job.output("results/scores.json"), scores)
    write_scores(job.output("results/metrics.json"), select_headlines(scores))
    write_neighbours(job.output("results/neighbours.csv"), search)
    for kind, columns in COLUMNS.items():
        rows = []
        for label, images in sample_sets[kind]:
            values = {**label, "pictures": label.get("step", 0) * p.batch_size}
            scores = compute_distances(p, set_features.pop(0), reference["held_out"])
            rows.append([*(values[column] for column in columns), *scores.values(), len(images)])
        write_table(job.output(f"results/{kind}.csv"), [*columns, "distance", "kid", "n"], rows)
