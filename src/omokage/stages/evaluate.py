"""evaluate: score the samples against held-out faces, beside what real faces score."""

import json

from safetensors.torch import load_file

from omokage.device import name, prepare
from omokage.errors import Refused
from omokage.evaluation import distances
from omokage.evaluation.features import EXTRACTORS
from omokage.evaluation.reference import read, spread
from omokage.job import Job
from omokage.params.evaluate import Params


def run(job: Job[Params]) -> None:
    """Write both distances of n samples, and of n train faces (the floor), to the same held-out faces."""
    p, device = job.params, prepare(job.threads)
    extractor = EXTRACTORS[p.extractor](device)
    folder = job.input("data/reference")
    held_out, train = (read(folder / f"{split}.safetensors", extractor) for split in ("held_out", "train"))
    samples = load_file(job.input("results/samples.safetensors"))["samples"]
    job.facts.update(device=name(device), weights_sha256=extractor.weights_sha256, samples=len(samples))
    for what, found, remedy in (
        ("samples", samples, "raise samples"),
        ("held-out faces", held_out, "give more pictures, or raise held_out or reference_faces"),
        ("train faces", train, "give more pictures, or lower held_out or raise reference_faces"),
    ):
        if len(found) < 2:
            raise Refused(f"{what}: {len(found)}, expected at least 2 to compute a distance: {remedy} in params.yaml")

    n = min(len(samples), len(train))
    drawn, real = extractor.features(samples[:n]), train[spread(len(train), n)]
    metrics = {"score": distances.name(extractor.name), "extractor": extractor.name}
    numbers = {"distance": distances.frechet(drawn, held_out), "distance_floor": distances.frechet(real, held_out)}
    for key, features in (("kid", drawn), ("kid_floor", real)):
        numbers[key] = distances.kid(features, held_out, p.kid_subsets, p.kid_subset_size, p.evaluate_seed)
    if extractor.name == "inception":
        numbers["fid"] = numbers["distance"]
    rounded = {key: float(f"{value:.5g}") for key, value in numbers.items()}
    text = json.dumps({**metrics, **rounded, "n": n, "n_reference": len(held_out)}, indent=2, ensure_ascii=False)
    job.output("results/metrics.json").write_text(text + "\n", encoding="utf-8")
