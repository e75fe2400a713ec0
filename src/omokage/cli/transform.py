"""`omokage transform`: edit a user's own images with the trained model."""

import argparse
import os
from pathlib import Path
from typing import Any, get_args

from omokage.base.errors import UserError
from omokage.base.files import hash_file, write_atomically
from omokage.base.memory import explain_out_of_memory
from omokage.cli.output_file import add_output_options, check_output
from omokage.cli.parser import parse_count
from omokage.params.sample import Sampler
from omokage.stamps.stamp import save_png

REMEDY = "give fewer images, or lower --count or OMOKAGE_MICRO_BATCH"
MAX_RMSE = 2.0  # grey levels of 255; a larger error of DDIM inversion is visible
THREADS = min(2, os.cpu_count() or 1)
DESCRIPTION = "Edit your own images of faces with the trained model, and write a sheet with one row per image."


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "transform",
        help="edit your own images with the trained model",
        description=DESCRIPTION,
    )
    methods = parser.add_subparsers(required=True, metavar="METHOD", dest="how", title="methods")
    vary = _add_method(
        methods, "vary", "add noise to images and denoise them again (SDEdit)", "face.png --strength 0.7 --count 8"
    )
    vary.add_argument(
        "--strength",
        type=_parse_fraction,
        default=0.5,
        help="how much to change: 0 keeps the image, 1 starts from noise (default: %(default)s)",
    )
    vary.add_argument("--count", type=parse_count, default=6, help="variations of each image (default: %(default)s)")
    vary.add_argument(
        "--sampler",
        choices=get_args(Sampler),
        default="ddpm",
        help="the sampler that denoises (default: %(default)s)",
    )
    vary.add_argument("--seed", type=int, default=0, help="seed of the noise (default: %(default)s)")
    _add_method(
        methods, "roundtrip", "encode images to noise by DDIM inversion, decode them, and print the error", "face.png"
    )
    between = _add_method(
        methods,
        "between",
        "interpolate between the latents of two images, and print how exact the ends are",
        "first.png second.png",
        count=2,
    )
    between.add_argument(
        "--count", type=parse_count, default=7, help="images, including both ends (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def _add_method(methods: Any, name: str, summary: str, example: str, count: int | str = "+") -> argparse.ArgumentParser:
    """Return the parser of a method, with the options that all methods have.

    `example` has the arguments of an example. `count` is the number of images that the method takes; "+" means one or
    more.
    """
    parser: argparse.ArgumentParser = methods.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        examples=[f"omokage transform {name} {example}"],
    )
    parser.add_argument("images", type=Path, nargs=count, metavar="IMAGE", help="an image of a face")
    parser.add_argument(
        "--steps", type=parse_count, default=50, help="network evaluations per image (default: %(default)s)"
    )
    parser.add_argument(
        "--crop",
        choices=["auto", "detect", "whole"],
        default="auto",
        help="auto: detect faces in images over 256 pixels, or with one side more than 10 %% longer than the other; "
        "detect: in all images; whole: in none (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("results/model.safetensors"),
        help="the trained model (default: %(default)s)",
    )
    add_output_options(parser, "transformed.png", "sheet, a PNG file,")
    return parser


def _parse_fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: must be from 0 to 1")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Write the grid of edited images, print its size and the errors measured, and return the exit code."""
    out = check_output(arguments.out, ".png", [*arguments.images, arguments.model], arguments.force)
    # Imported late, because these modules load torch, which other commands do not need.
    from omokage.cli.user_images import EditRequest, compose_sheet, edit_faces, load_faces, make_stamp
    from omokage.editing.image_editor import ImageEditor

    fields = {key: value for key, value in vars(arguments).items() if key in EditRequest.__dataclass_fields__}
    if arguments.how != "vary":
        fields["sampler"] = "ddim"
    request = EditRequest(**fields)
    try:
        with explain_out_of_memory(REMEDY):
            editor = ImageEditor(arguments.model, arguments.steps, THREADS)
    except (KeyError, TypeError, ValueError, RuntimeError, StopIteration) as error:
        # The header of the file describes no network that this version can build.
        raise UserError(
            f"{arguments.model} is not a model of this version ({error!r}): choose another --model"
        ) from error
    faces = load_faces(arguments.images, editor.image_size, arguments.crop)
    with explain_out_of_memory(REMEDY):
        rows, measurements = edit_faces(request, editor, faces)
    stamp = make_stamp(request, hash_file(arguments.model), faces)
    with write_atomically(out) as partial:
        save_png(compose_sheet(rows), partial, stamp)
    for name, values in measurements.items():
        for path, value in zip(arguments.images, values, strict=True):
            advice = f": raise --steps to get below {MAX_RMSE:.0f}" if value > MAX_RMSE else ""
            print(f"{path}: {name} {value} grey levels (of 255) after {arguments.steps} steps each way{advice}")
    print(f"{arguments.out}: {rows.shape[0]} row(s) of {rows.shape[1]}")
    return 0
