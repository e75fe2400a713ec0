"""Train for a given time on a GPU, and measure the Fréchet distance at several moments of the training.

    PYTHONPATH=src .venv/bin/python benchmarks/gpu_race.py NAME --data DIR [--seconds 240] [--change KEY=VALUE ...]
        [--moments 0.5 1] [--guidance 1 2] [--samples 1000] [--grid FILE.png]

DIR is the data folder of a checkout with faces of 64 pixels, after `dvc repro reference`; neither DVC nor a network
connection is needed. Rows go to results/gpu_race.csv. A moment is a fraction of the training; at each, samples are
generated with every guidance scale that --guidance names. --grid also saves the first 64 samples of each row.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
from common import (
    DEVICE,
    Stopwatch,
    append_row,
    count_weights,
    generate_samples,
    load_preset,
    make_trained_denoiser,
    parse_changes,
    read_splits,
    score_samples,
    time_call,
    time_step,
)
from gpu_speed import PRESET, advance_to, create_trainer
from torch import Tensor

from omokage.figures.sheet import tile_images
from omokage.params.schema import Params
from omokage.training.config import ComputeConfig
from omokage.training.trainer import Trainer
from omokage.training.validation import measure_loss_by_noise_level


def race(args: argparse.Namespace) -> None:
    """Train for about the given seconds; at each moment, score samples of every guidance scale and append a row."""
    changes = parse_changes(args.change)
    p = load_preset(PRESET, changes)
    faces, held_out = read_splits(args.data)
    steps = round(args.seconds / time_step(create_trainer(p, faces).advance, warmup=10))
    trainer, seconds = create_trainer(p.model_copy(update={"steps": steps}), faces), 0.0
    for moment in args.moments:
        seconds += time_call(partial(advance_to, trainer, round(moment * steps)))
        trainer.check_divergence()
        precise = ComputeConfig(DEVICE, torch.float32)
        errors = measure_loss_by_noise_level(trainer.ema.model, trainer.spec, held_out[:256], precise, 12, 0)
        for scale in args.guidance:
            stopwatch = Stopwatch()
            samples = sample_trainer(trainer, scale, p, args.samples)
            row = {
                "torch": torch.__version__,
                "name": args.name,
                "changes": " ".join(f"{key}={value}" for key, value in changes.items()),
                "parameters": count_weights(trainer.network),
                "seconds": round(seconds, 1),
                "steps": trainer.step,
                "of": steps,
                "pictures": trainer.step * p.batch_size,
                "held_out_error": round(sum(errors) / len(errors), 4),
                "guidance": scale,
                "drawing_seconds": stopwatch.seconds(),
                **score_samples(samples, args.data),
            }
            append_row("gpu_race", row)
            if args.grid is not None:
                path = args.grid.with_stem(f"{args.grid.stem}-{moment:.2f}-{scale:g}")
                tile_images(samples[:64].numpy(), 8).save(path)


def sample_trainer(trainer: Trainer, scale: float, p: Params, count: int) -> Tensor:
    """Return uint8 samples of a training's EMA weights, with this guidance scale."""
    guidance = (scale, p.guidance_snapshot, p.guidance_min_log_snr)
    denoiser = make_trained_denoiser(trainer.ema.model, trainer.spec, trainer.snapshots, *guidance)
    return generate_samples(denoiser, trainer.spec, p.sampler, p.timestep_spacing, p.sample_steps, count)


def main() -> None:
    """Run the race."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what the rows are called")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=240, help="of training (default: %(default)s)")
    parser.add_argument("--change", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--moments", type=float, nargs="+", default=[1 / 6, 1 / 3, 2 / 3, 1])
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0], help="guidance scales")
    parser.add_argument("--samples", type=int, default=1000, help="samples per row (default: %(default)s)")
    parser.add_argument("--grid", type=Path, help="where to save the samples as PNG")
    race(parser.parse_args())


if __name__ == "__main__":
    main()
