"""`omokage demo`: use the trained model on a page in a browser."""

import argparse
import importlib.util
import os
from typing import Any

from omokage.base.errors import UserError
from omokage.base.files import hash_file
from omokage.cli.checkout import find_checkout
from omokage.cli.model_source import add_source_options, find_in_file, find_in_revision
from omokage.cli.transform import THREADS

HOST, PORT = "127.0.0.1", 7860
DESCRIPTION = """\
Serve a page on which to generate samples with the trained model, watch their denoising, edit your own images and
interpolate between seeds. The page is only for this machine, unless --host says otherwise, and loads nothing from the
network. It needs the extra `demo`. Ctrl-C stops it."""


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="use the trained model on a page in a browser",
        description=DESCRIPTION,
        examples=["omokage demo", "omokage demo --rev first", "omokage demo --model model.safetensors --port 8000"],
    )
    add_source_options(parser)
    parser.add_argument(
        "--host",
        default=HOST,
        help="the address to listen on; with another one, such as 0.0.0.0, everyone who reaches it can use the page "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=_parse_port, default=PORT, help="the port to listen on; 0 is any free one (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def _parse_port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 to 65535")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, then end the process. Raises UserError if the page cannot be served."""
    if importlib.util.find_spec("gradio") is None:
        raise UserError(
            "gradio is not installed, expected the extra `demo`: run `make install` or `pip install gradio`"
        )
    # Imported late, because these modules load torch, which other commands do not need.
    from omokage.demo.actions import Actions
    from omokage.demo.server import bind, serve
    from omokage.library.loading import load_files

    source = find_in_file(arguments.model) if arguments.model else find_in_revision(find_checkout(), arguments.rev)
    listener = bind(arguments.host, arguments.port)
    with listener:
        model = load_files(source.model, source.snapshots, threads=THREADS)
        actions = Actions(model, hash_file(source.model))
        try:
            serve(actions, listener, arguments.host, lambda address: print(f"{address} (stop: Ctrl-C)", flush=True))
            code = 2  # the server has failed, and printed why
        except KeyboardInterrupt:
            code = 130
    # Without waiting, as Python would, for the threads of a computation whose result nobody would see.
    os._exit(code)
