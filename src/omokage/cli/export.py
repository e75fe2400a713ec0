"""`omokage export`: write the trained model as a folder that works without Omokage."""

import argparse
from pathlib import Path
from typing import Any

from omokage.cli.checkout import find_checkout
from omokage.cli.output_folder import check_new_folder, replace_folder
from omokage.provenance.history import History

DESCRIPTION = """\
Write the trained model as a folder to hand on: weights with a description of the run, a model card in the format of the
Hugging Face hub, an ONNX file of the network, and a pipeline for diffusers that needs no Omokage and generates the same
samples. The ONNX file is compared with PyTorch. The folder is complete or not written at all."""


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "export",
        help="write the trained model as a folder for diffusers, ONNX Runtime and the Hugging Face hub",
        description=DESCRIPTION,
        examples=["omokage export face-ddpm", "omokage export face-ddpm --rev my-experiment --no-onnx --force"],
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder to write")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--rev", default="workspace", metavar="NAME", help="an experiment or commit whose model to export"
    )
    source.add_argument("--model", type=Path, metavar="FILE", help="the model file of a recorded run")
    parser.add_argument(
        "--license", metavar="ID", help="licence of the model, an identifier of the hub; otherwise that of the data"
    )
    parser.add_argument("--no-onnx", action="store_true", help="leave out denoiser.onnx")
    parser.add_argument("--force", action="store_true", help="replace the folder of an earlier export")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the folder, print its files, and return the exit code."""
    out = check_new_folder(arguments.folder, arguments.force)
    # Imported late, because these modules load torch, which other commands do not need.
    import torch

    from omokage.diffusion.model import load_model
    from omokage.export.folder import Options, write_folder
    from omokage.export.onnx_file import MAX_ERROR, check_packages
    from omokage.export.run import find_revision_of_model, find_run

    if not arguments.no_onnx:
        check_packages()
    with History(find_checkout()) as history:
        if arguments.model:
            load_model(arguments.model, torch.device("cpu"))  # raises UserError for another kind of file
            revision = find_revision_of_model(history, arguments.model)
        else:
            revision = history.revision(arguments.rev)
        exported = find_run(history, revision)
        options = Options(arguments.folder.resolve().name, arguments.license, not arguments.no_onnx)
        with replace_folder(out) as folder:
            error = write_folder(exported, folder, options)
    files = [path for path in out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"{arguments.folder}: {len(files)} files, {size:.1f} MB")
    if error is not None:
        print(f"denoiser.onnx: differs from PyTorch by {error:.1e} of its largest value (allowed: {MAX_ERROR:.0e})")
    return 0
