"""`omokage sample`: generate any number of samples with a trained model, and write them to files."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from omokage.base.errors import UserError
from omokage.cli.checkout import find_checkout
from omokage.cli.model_source import add_source_options, find_in_file, find_in_revision
from omokage.cli.output_file import check_output, check_output_folder
from omokage.cli.parser import add_settings_option, parse_count
from omokage.config.validation import validate
from omokage.config.yaml_file import parse_yaml
from omokage.params.sample import Params, Sampler

FORMATS = ("png", "zip", "npz")
GRID_SIDE = 8  # samples on a side of the contact sheet
# The options for parameters of the stage `sample`: name, type or choices, and meaning.
OPTIONS: dict[str, tuple[str, Any, str]] = {
    "sample_seed": ("--seed", int, "seed of the samples"),
    "sampler": ("--sampler", get_args(Sampler), "sampler"),
    "sample_steps": ("--steps", int, "network evaluations per sample"),
    "guidance_scale": ("--guidance", float, "autoguidance scale; 1 is none"),
}
DESCRIPTION = """\
Generate samples with a trained model: that of the workspace, of an experiment or commit, or in a file. The settings are
those of the run's samples unless options change them, so the same numbers and seed give the same pixels as in
results/samples.safetensors, on the same kind of machine. Sample i depends only on the settings and i. If the command is
stopped, the same command continues. Every PNG has metadata for `omokage why`."""


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "sample",
        help="generate samples with a trained model, as PNG, zip or npz files",
        description=DESCRIPTION,
        examples=[
            "omokage sample -n 1000 --seed 7 --out samples",
            "omokage sample -n 10000 --rev first --out first.zip --grid",
            "omokage sample -n 64 --model model.safetensors --sampler ddim --steps 50 --guidance 1.5",
        ],
    )
    parser.add_argument(
        "-n", type=parse_count, dest="samples", metavar="N", help="number of samples (default: as many as the run has)"
    )
    for key, (option, kind, meaning) in OPTIONS.items():
        choices: dict[str, Any] = {"choices": kind} if isinstance(kind, tuple) else {"type": kind}
        parser.add_argument(option, dest=key, help=f"{meaning} (default: that of the run)", **choices)
    add_settings_option(parser, "sample")
    add_source_options(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("samples"),
        help="the folder of PNG files to write, or a file that ends in .zip or .npz (default: %(default)s)",
    )
    parser.add_argument("--format", choices=FORMATS, help="png, zip or npz (default: as --out says)")
    parser.add_argument(
        "--grid",
        action="store_true",
        help=f"also write a sheet of the first {GRID_SIDE**2} samples, next to --out, with -grid.png at the end",
    )
    parser.add_argument("--force", action="store_true", help="remove the samples of an earlier run first")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the samples and the sheet, print where they are, and return the exit code."""
    # Imported late, because these modules load torch, which other commands do not need.
    from omokage.cli.sample_run import generate, is_sheet, write_grid

    source = find_in_file(arguments.model) if arguments.model else find_in_revision(find_checkout(), arguments.rev)
    params = apply_options(source.params, arguments)
    inputs = [path for path in (source.model, source.snapshots) if path is not None]
    out = add_suffix(arguments.out, arguments.format)
    if is_archive(out):
        target = check_output(out, out.suffix.lower(), inputs, force=True)
    else:
        target = check_output_folder(out, inputs)
    grid = name_grid(out)
    if arguments.grid:
        check_output(grid, ".png", inputs, arguments.force or is_sheet(grid))
    store = generate(source, params, target, arguments.force)
    print(f"{out}: {params.samples} samples")
    if arguments.grid:
        count = min(GRID_SIDE**2, params.samples)
        write_grid(store, count, grid)
        print(f"{grid}: the first {count} samples")
    return 0


def apply_options(params: Mapping[str, Any], arguments: argparse.Namespace) -> Params:
    """Return the parameters of the stage `sample` with the options of the command; raise UserError for a wrong one."""
    values = {key: params[key] for key in Params.model_fields}
    for setting in arguments.settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f"-S {setting}: expected KEY=VALUE, such as timestep_spacing=trailing")
        values[key] = parse_yaml(text, f"-S {setting}: the value")
    options = {key: getattr(arguments, key) for key in (*OPTIONS, "samples")}
    values |= {key: value for key, value in options.items() if value is not None}
    if values["samples"] != 1:
        return validate(Params, values, "settings")
    # A run needs two samples for its scores, but one is enough here.
    return validate(Params, {**values, "samples": 2}, "settings").model_copy(update={"samples": 1})


def add_suffix(out: Path, chosen: str | None) -> Path:
    """Return `out` with the suffix of the format `chosen` (None: as `out` says); raise UserError if it has another."""
    named = out.suffix.lower().removeprefix(".") if is_archive(out) else None
    if chosen in (None, named) or (chosen == "png" and named is None):
        return out
    if named is not None:
        raise UserError(f"{out} is {named}, but --format is {chosen}: choose another --out, or leave out --format")
    return out.with_name(f"{out.name}.{chosen}")


def is_archive(out: Path) -> bool:
    """Return whether a path names a zip or npz file."""
    return out.suffix.lower() in (".zip", ".npz")


def name_grid(out: Path) -> Path:
    """Return the path of the sheet of the samples in `out`."""
    return out.with_name(f"{out.stem if is_archive(out) else out.name}-grid.png")
