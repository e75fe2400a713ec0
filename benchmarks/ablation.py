"""Ablation: train on a given number of images with some parameters changed, and score the samples.

    PYTHONPATH=src .venv/bin/python benchmarks/ablation.py DATA NAME --images 20000 [--preset folder-32] [KEY=VALUE ...]

DATA is the data folder of a checkout in which `dvc repro reference` has run. The row goes to results/ablation.csv. With
--threads 1, two runs fit on two cores, but the seconds in their rows are then not comparable.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from common import (
    Stopwatch,
    append_row,
    count_weights,
    generate_samples,
    load_preset,
    make_trained_denoiser,
    parse_changes,
    read_splits,
    score_samples,
    train_preset,
)

from omokage.compute.device import choose_dtype, prepare_device
from omokage.training.config import ComputeConfig
from omokage.training.setup import make_configs
from omokage.training.validation import measure_loss_by_noise_level


def main() -> None:
    """Train, score, and append a row."""
    args = parse_arguments()
    changes = parse_changes(args.changes)
    batch_size = load_preset(args.preset, changes).batch_size
    p = load_preset(args.preset, {**changes, "steps": args.images // batch_size})
    device = prepare_device(args.threads)
    faces, held_out = read_splits(args.data)
    spec, _ = make_configs(p, faces)
    compute = ComputeConfig(device, choose_dtype(p.precision, device))
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as work:
        result = train_preset(p, faces, compute, Path(work), lambda row: None, lambda row: None)
    seconds = stopwatch.seconds()
    guidance = (p.guidance_scale, p.guidance_snapshot, p.guidance_min_log_snr)
    denoiser = make_trained_denoiser(result.network, spec, result.snapshots, *guidance)
    errors = measure_loss_by_noise_level(
        result.network, spec, held_out[:128], ComputeConfig(device, torch.float32), 8, 0
    )
    samples = generate_samples(denoiser, spec, p.sampler, p.timestep_spacing, p.sample_steps, p.samples)
    row = {
        "name": args.name,
        "changes": " ".join(args.changes),
        "pictures": p.steps * p.batch_size,
        "seconds": seconds,
        "parameters": count_weights(result.network),
        "held_out_error": round(sum(errors) / len(errors), 4),
        **score_samples(samples, args.data),
    }
    append_row("ablation", row)


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the data folder of a checkout after `dvc repro reference`")
    parser.add_argument("name", help="what the row is called")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="parameters that differ from the preset's")
    parser.add_argument("--images", type=int, default=20_000, help="training images in all (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--preset", default="folder-32", help="a preset's name (default: %(default)s)")
    return parser.parse_intermixed_args()


if __name__ == "__main__":
    torch.set_float32_matmul_precision("highest")
    main()
