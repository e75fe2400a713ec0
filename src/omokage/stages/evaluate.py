"""evaluate: score the samples against held-out faces, beside what real faces score."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from omokage import series
from omokage.data import shards
from omokage.device import name, prepare
from omokage.errors import Refused
from omokage.evaluation import bootstrap, distances, manifolds, neighbours, style
from omokage.evaluation.features import EXTRACTORS
from omokage.evaluation.neighbours import Nearest
from omokage.evaluation.reference import read, representatives, spread
from omokage.job import Job
from omokage.params.evaluate import Params

SPLITS = ("train", "held_out")
SERIES = {"progress": ("step", "pictures"), "study": ("weights", "sampler", "evaluations")}


def run(job: Job[Params]) -> None:
    """Write the scores of n samples, and of n train faces (the floor), against the same held-out faces; and tables.

    These have the nearest faces of each sample, and the scores of what was drawn from snapshots and for the study.
    """
    p, device = job.params, prepare(job.threads)
    extractor = EXTRACTORS[p.extractor](device, job.input("data/weights"))
    folder = job.input("data/reference")
    reference = {split: read(folder / f"{split}.safetensors", extractor) for split in SPLITS}
    samples = load_file(job.input("results/samples.safetensors"))["samples"]
    job.facts.update(device=name(device), weights_sha256=extractor.weights_sha256, samples=len(samples))
    for what, found, remedy in (
        ("samples", samples, "raise samples"),
        ("held-out faces", reference["held_out"], "give more pictures, or raise held_out or reference_faces"),
        ("train faces", reference["train"], "give more pictures, or lower held_out or raise reference_faces"),
    ):
        if len(found) < 2:
            raise Refused(f"{what}: {len(found)}, expected at least 2 to compute a distance: {remedy} in params.yaml")

    n = min(len(samples), len(reference["train"]))
    samples = samples[:n]
    others = {kind: series.load(job.input(f"results/{kind}.safetensors")) for kind in SERIES}
    sets = [samples, *(pictures for drawn in others.values() for _, pictures in drawn)]
    features, *more = extractor.features(torch.cat(sets)).split([len(pictures) for pictures in sets])
    faces = {split: shards.read(job.input("data/faces"), split) for split in SPLITS}
    nearest, copies = _in_pixels(samples, faces, device, p.flip)
    metrics = {
        "score": distances.name(extractor.name),
        "extractor": extractor.name,
        "resize": f"clean, bicubic, {extractor.side}",
        "seed": p.evaluate_seed,
        "n": n,
        "n_reference": len(reference["held_out"]),
        **_scores(p, features, reference["train"][spread(len(reference["train"]), n)], reference["held_out"]),
        "style": style.compared(samples, faces["held_out"]),
        "style_floor": style.compared(faces["train"][spread(len(faces["train"]), n)], faces["held_out"]),
        **copies,
    }
    if extractor.name == "inception":
        metrics["fid"] = metrics["distance"]
    text = json.dumps(_rounded(metrics), indent=2, ensure_ascii=False)
    job.output("results/metrics.json").write_text(text + "\n", encoding="utf-8")

    nearest |= _in_features(features, reference, {split: len(faces[split]) for split in SPLITS})
    columns = ["sample", *(column for where in nearest for column in (where, f"{where}_distance"))]
    found_by_sample = ([i, *(cell for found in nearest.values() for cell in found.at(i))] for i in range(n))
    _table(job.output("results/neighbours.csv"), columns, found_by_sample)
    for kind, words in SERIES.items():
        rows = []
        for way, pictures in others[kind]:
            if kind == "progress":
                way["pictures"] = way["step"] * p.batch_size
            scores = _distances(p, more.pop(0), reference["held_out"])
            rows.append([*(way[word] for word in words), *scores.values(), len(pictures)])
        _table(job.output(f"results/{kind}.csv"), [*words, "distance", "kid", "n"], rows)


def _distances(p: Params, features: Tensor, held_out: Tensor) -> dict[str, float]:
    kid = distances.kid(features, held_out, p.kid_subsets, p.kid_subset_size, p.evaluate_seed)
    return {"distance": distances.frechet(features, held_out), "kid": kid}


def _scores(p: Params, features: Tensor, real: Tensor, held_out: Tensor) -> dict[str, float]:
    """Return every score of the features, with its floor, that of as many real ones, and if it has one its interval."""
    scores, floors = (_distances(p, some, held_out) | manifolds.overlap(some, held_out) for some in (features, real))
    counts = bootstrap.resampled(len(features), p.bootstrap, p.evaluate_seed)
    spreads = {
        "distance": bootstrap.frechet(features, held_out, counts),
        "kid": bootstrap.kid(features, held_out, counts),
    }
    found: dict[str, float] = {}
    for key, score in scores.items():
        found[key] = score
        if key in spreads:
            found[f"{key}_low"], found[f"{key}_high"] = bootstrap.interval(score, spreads[key])
        found[f"{key}_floor"] = floors[key]
    return found


def _in_pixels(
    samples: Tensor, faces: Mapping[str, Tensor], device: torch.device, mirrored: bool
) -> tuple[dict[str, Nearest], dict[str, float]]:
    """Return the nearest of all faces to each sample, by split, and what that says of copying."""

    def search(pictures: Tensor, itself: bool) -> dict[str, Nearest]:
        train = neighbours.in_pixels(pictures, faces["train"], device, mirrored)
        return {"train": train, "held_out": neighbours.in_pixels(pictures, faces["held_out"], device, mirrored, itself)}

    nearest = search(samples, itself=True)
    ratios, chance = neighbours.ratios(**nearest), neighbours.ratios(**search(faces["held_out"], itself=False))
    return nearest, {
        "copy_ratio": float(ratios.median()),
        "copy_ratio_floor": float(chance.median()),
        "copied": neighbours.copied(ratios, chance),
    }


def _in_features(features: Tensor, reference: Mapping[str, Tensor], faces: Mapping[str, int]) -> dict[str, Nearest]:
    """Return the nearest faces of the reference, as many of either split, numbered among all `faces` of that split."""
    n = min(map(len, reference.values()))
    nearest = {}
    for split, among in reference.items():
        kept = representatives(split, len(among), n)
        found = neighbours.in_features(features, among[kept])
        numbers = representatives(split, faces[split], len(among))[kept]
        nearest[f"feature_{split}"] = Nearest(numbers[found.number], found.distance)
    return nearest


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{cell:.5g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
