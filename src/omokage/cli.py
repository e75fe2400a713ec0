"""The command `omokage`: what there is to do beside running the pipeline."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from omokage import plan as forecast
from omokage import provenance
from omokage.errors import Refused
from omokage.params import whole

THREADS = min(2, os.cpu_count() or 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line, and exit code 1."""
    chosen = parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except (Refused, OSError) as error:
        print(f"omokage: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, which is also its manual."""
    top = argparse.ArgumentParser(prog="omokage", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    asked = commands.add_parser(
        "why", help="say what made a figure or report", description="Print the stamp of a file."
    )
    asked.add_argument("figure", type=Path, help="a PNG, GIF, SVG, HTML or Markdown file that the pipeline made")
    asked.set_defaults(run=why)

    ahead = commands.add_parser(
        "plan",
        help="say what `dvc repro` would run",
        description="Say which stages would run, why and for about how long, and which figures may change. "
        "Touches nothing.",
    )
    ahead.add_argument(
        "-S", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="as for dvc exp run"
    )
    ahead.set_defaults(run=plan)

    behind = commands.add_parser(
        "stale",
        help="say what no longer matches parameters, data or code",
        description="Say which outputs no longer match the parameters, data and code, and why. Exit code 1 if any.",
    )
    behind.set_defaults(run=stale)

    held = commands.add_parser(
        "audit",
        help="prove that all results are what dvc.lock says",
        description="Hold every output against dvc.lock and every figure against the records. Exit code 1 if one "
        "differs or is lost; what only a `dvc pull` would bring is named.",
    )
    held.add_argument("--all", action="store_true", help="name what is proven as well")
    held.set_defaults(run=audit)

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
    made.set_defaults(run=transform)
    return top


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


def why(chosen: argparse.Namespace) -> int:
    """Print what a figure or report was made of."""
    print(json.dumps(provenance.read(chosen.figure), indent=1, sort_keys=True))
    return 0


def plan(chosen: argparse.Namespace) -> int:
    """Print the stages that would run and the figures that may change."""
    root = Path.cwd()
    values = forecast.changed(whole.load(root / "params.yaml"), chosen.settings)
    steps = forecast.steps(root, values)
    for step in steps:
        print(f"{step.stage:10} {_duration(step.seconds):>10}  {step.reason}")
    known = sum(step.seconds or 0 for step in steps)
    print(f"{len(steps)} stages, about {_duration(known)} by their last runs" if steps else "nothing to run")
    touched = [name for name, may in forecast.figures(root, values, steps).items() if may]
    print(f"figures that may change: {', '.join(touched) or 'none'}")
    return 0


def stale(chosen: argparse.Namespace) -> int:
    """Print the outputs that no longer match, and why."""
    root = Path.cwd()
    steps = forecast.steps(root, forecast.changed(whole.load(root / "params.yaml"), ()))
    for step in steps:
        print(f"{step.stage}: {step.reason}")
        for out in step.outs:
            print(f"  {out}")
    if not steps:
        print("all outputs match the parameters, data and code")
    return int(bool(steps))


def audit(chosen: argparse.Namespace) -> int:
    """Print what cannot be proven of the results, and a count."""
    from omokage.audit import findings

    found = list(findings(Path.cwd()))
    for finding in found:
        if chosen.all or not finding.proven:
            print(f"{finding.path} {finding.says}")
    counts = Counter(finding.proven for finding in found)
    print(f"{counts[True]} proven, {counts[False]} wrong, {counts[None]} not here")
    return int(counts[False] > 0)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def transform(chosen: argparse.Namespace) -> int:
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


if __name__ == "__main__":
    sys.exit(main())
