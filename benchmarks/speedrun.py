"""Train a preset, generate samples, score them, and append a row of time and quality (see docs/speedrun.md).

    PYTHONPATH=src .venv/bin/python benchmarks/speedrun.py PRESET [--source FOLDER_OR_ZIP] [--samples 10000]
        [--change KEY=VALUE ...] [--validation] [--grid FILE.png] [--note TEXT]

The images are those of the preset (a recipe alone uses the avatars), or those of --source. The rows go to
results/speedrun.csv. --validation splits validation faces off the training set and scores against those, so that
settings can be chosen without the held-out faces; its rows go to results/validation.csv.
"""

import argparse
import hashlib
import subprocess
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from common import (
    DEVICE,
    ROOT,
    Stopwatch,
    append_row,
    count_weights,
    generate_samples,
    load_preset,
    make_trained_denoiser,
    parse_changes,
    prepare_clone,
    read_splits,
    train_preset,
)
from torch import Tensor

from omokage.compute.device import choose_dtype, prepare_device
from omokage.evaluation.features.extractors import EXTRACTORS
from omokage.evaluation.features.reference import spread_indices
from omokage.evaluation.scores import distances
from omokage.evaluation.scores.manifold import compute_overlap
from omokage.evaluation.scores.style import compare_style
from omokage.figures.sheet import tile_images
from omokage.params.schema import Params
from omokage.training.config import ComputeConfig
from omokage.training.setup import make_configs
from omokage.training.trainer import TrainingResult

VALIDATION_FACES = 500


@dataclass(frozen=True)
class Timed:
    """A training, its wall-clock seconds, and an estimate of those that compiling took."""

    result: TrainingResult
    seconds: float
    compiling: float


def main() -> None:
    """Train, sample, score, and append a row."""
    args = parse_arguments()
    changes = parse_changes(args.change)
    p = load_preset(args.preset, changes)
    data = args.data or prepare_clone(f"speedrun-{args.preset}", p, args.source)
    faces, judges = read_splits(data)
    if args.validation:
        faces, judges = split_validation(faces)
    device = prepare_device(args.threads)
    compute = ComputeConfig(device, choose_dtype(p.precision, device))
    spec, _ = make_configs(p, faces)
    timed = train_timed(p, faces, compute)
    stopwatch = Stopwatch()
    guidance = (p.guidance_scale, p.guidance_snapshot, p.guidance_min_log_snr)
    denoiser = make_trained_denoiser(timed.result.network, spec, timed.result.snapshots, *guidance)
    samples = generate_samples(denoiser, spec, p.sampler, p.timestep_spacing, p.sample_steps, args.samples)
    row = {
        "commit": read_commit(),
        "preset": args.preset,
        "changes": " ".join(args.change),
        "image_size": p.image_size,
        "data": f"{hash_faces(faces)}/{hash_faces(judges)}",
        "training_faces": len(faces),
        "seed": p.seed,
        "threads": args.threads if DEVICE.type == "cpu" else "",
        "parameters": count_weights(timed.result.network),
        "images": p.steps * p.batch_size,
        "training_seconds": round(timed.seconds, 1),
        "without_compiling": round(timed.seconds - timed.compiling, 1),
        "sampling_seconds": stopwatch.seconds(),
        **score(samples, faces, judges, data),
        "note": args.note,
    }
    append_row("validation" if args.validation else "speedrun", row)
    print(", ".join(f"{key} {value}" for key, value in row.items()))
    if args.grid is not None:
        tile_images(samples[:64].numpy(), 8).save(args.grid)


def train_timed(p: Params, faces: Tensor, compute: ComputeConfig) -> Timed:
    """Train on uint8 faces [n, 3, h, w] without measuring errors, and return the result and the times."""
    start = time.monotonic()
    half_size_rows, rows = [start], list[float]()  # when each row of the loss tables was written
    with TemporaryDirectory() as work:
        result = train_preset(
            *(p, faces, compute, Path(work)),
            lambda row: rows.append(time.monotonic()),
            lambda row: half_size_rows.append(time.monotonic()),
        )
    rows.insert(0, half_size_rows[-1])
    compiling = sum(map(estimate_compiling, (half_size_rows, rows))) if compute.device.type == "cuda" else 0.0
    return Timed(result, rows[-1] - start, compiling)


def estimate_compiling(rows: list[float]) -> float:
    """Return the seconds of compiling, which happens before the first row: its time above the median of all rows."""
    seconds = [end - start for start, end in pairwise(rows)]
    return max(0.0, seconds[0] - median(seconds)) if seconds else 0.0


def split_validation(faces: Tensor) -> tuple[Tensor, Tensor]:
    """Return the faces [n, 3, h, w] without VALIDATION_FACES of them, spread evenly, and these."""
    chosen = torch.zeros(len(faces), dtype=torch.bool)
    chosen[spread_indices(len(faces), VALIDATION_FACES)] = True
    return faces[~chosen], faces[chosen]


def score(samples: Tensor, faces: Tensor, judges: Tensor, data: Path) -> dict[str, Any]:
    """Return the scores of samples against all `judges`, and the floor: as many training faces against the same.

    All are uint8 [n, 3, h, w]. The floor has fewer faces than there are samples if the training set is smaller.
    """
    extractor = EXTRACTORS["efficientnet-lite0"](DEVICE, data / "extractor_weights")
    real = faces[spread_indices(len(faces), min(len(samples), len(faces)))]
    features, floor, reference = (extractor.compute_features(images) for images in (samples, real, judges))
    style = compare_style(samples, judges)
    return {
        "extractor": extractor.name,
        "distance": round(distances.compute_frechet(features, reference), 1),
        "floor": round(distances.compute_frechet(floor, reference), 1),
        **{key: round(value, 3) for key, value in compute_overlap(features, reference).items()},
        **{colour: round(style[colour], 1) for colour in ("red", "green", "blue")},
        "n": len(samples),
        "n_floor": len(real),
        "n_reference": len(judges),
    }


def hash_faces(faces: Tensor) -> str:
    """Return the first 12 digits of the sha256 of the pixels of uint8 faces."""
    return hashlib.sha256(faces.numpy().tobytes()).hexdigest()[:12]


def read_commit() -> str:
    """Return the abbreviated commit of this checkout, with a plus sign if files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", help="a preset's name")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--source", type=Path, help="folder or zip of images (default: as the preset says)")
    source.add_argument("--data", type=Path, help="the data folder of a checkout after `dvc repro reference`")
    parser.add_argument("--samples", type=int, default=10_000, help="samples to score (default: %(default)s)")
    parser.add_argument("--change", action="append", default=[], metavar="KEY=VALUE", help="a parameter to change")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--validation", action="store_true", help="score against faces split off the training set")
    parser.add_argument("--grid", type=Path, help="where to save 64 samples as PNG")
    parser.add_argument("--note", default="", help="what is special about this row")
    return parser.parse_args()


if __name__ == "__main__":
    torch.set_float32_matmul_precision("highest")
    main()
