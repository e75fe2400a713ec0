"""`omokage transform`: what the trained model makes of a user's own pictures."""

import argparse
import os
from pathlib import Path
from typing import Any

from omokage import provenance

THREADS = min(2, os.cpu_count() or 1)


def add(commands: Any) -> None:
    """Tell the parser of this command."""
    made = commands.add_parser("transform", help="transform pictures of your own with the trained model")
    ways = made.add_subparsers(required=True, metavar="HOW", dest="how")
    vary = ways.add_parser("vary", help="noise pictures and clean them again (SDEdit)")
    vary.add_argument(
        "--strength", type=_fraction, default=0.5, help="0: as it is, 1: made anew (default: %(default)s)"
    )
    vary.add_argument("--count", type=_positive, default=6, help="variations of each (default: %(default)s)")
    vary.add_argument("--sampler", choices=["ddpm", "ddim", "dpm-solver++", "heun"], default="ddpm")
    vary.add_argument("--seed", type=int, default=0, help="another seed, other variations")
    trip = ways.add_parser("roundtrip", help="encode pictures to noise and decode them, with the error")
    between = ways.add_parser("between", help="draw what lies between two pictures")
    between.add_argument(
        "--count", type=_positive, default=7, help="pictures, both ends included (default: %(default)s)"
    )
    for way in (vary, trip, between):
        way.add_argument("pictures", type=Path, nargs=2 if way is between else "+", help="pictures of faces")
        way.add_argument("--steps", type=_positive, default=50, help="network evaluations (default: %(default)s)")
        way.add_argument("--crop", choices=["auto", "detect", "whole"], default="auto", help="as in params.yaml")
        way.add_argument("--model", type=Path, default=Path("results/model.safetensors"), help="(default: %(default)s)")
        way.add_argument("--out", type=Path, default=Path("transformed.png"), help="(default: %(default)s)")
    made.set_defaults(run=run)


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 to 1")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return value


def run(chosen: argparse.Namespace) -> int:
    """Write a sheet of the given pictures and what became of them, a row for each; print what was measured."""
    # Imported here, since they load torch, which `omokage why` does without.
    from omokage import own_pictures as own
    from omokage.transforming import Transformer

    given = {key: value for key, value in vars(chosen).items() if key in own.Wish.__dataclass_fields__}
    if chosen.how != "vary":
        given["sampler"] = "ddim"
    wish, transformer = own.Wish(**given), Transformer(chosen.model, chosen.steps, THREADS)
    pictures = own.faces(chosen.pictures, transformer.side, chosen.crop)
    rows, measured = own.transformed(wish, transformer, pictures)
    stamp = own.stamp(wish, provenance.sha256(chosen.model), pictures)
    partial = chosen.out.with_name(f".partial-{chosen.out.name}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    provenance.save_png(own.sheet(rows), partial, stamp)
    partial.replace(chosen.out)
    for name, values in measured.items():
        for path, value in zip(chosen.pictures, values, strict=True):
            print(f"{path}: {name} {value} grey levels (of 255) after {chosen.steps} steps each way")
    print(f"{chosen.out}: {rows.shape[0]} row(s) of {rows.shape[1]}")
    return 0
