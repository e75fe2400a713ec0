"""`omokage preview-data`: show which faces the pipeline would train on, and which it would drop."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omokage.base.files import write_atomically
from omokage.cli.checkout import find_checkout
from omokage.cli.output_file import add_output_options, check_output
from omokage.cli.parser import add_settings_option, parse_count
from omokage.config.yaml_file import load_yaml

THREADS = min(2, os.cpu_count() or 1)
DESCRIPTION = """\
Find and filter the faces as the pipeline does, print how many would be kept and dropped and why, and write a contact
sheet. The outputs of the pipeline do not change: the images are copied to a temporary folder. The exit code is 1 if
`dvc repro` would stop because of the images."""
MAX_EXAMPLES = 3  # names of images for each reason


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "preview-data",
        help="show which faces would be kept and dropped, before training",
        description=DESCRIPTION,
        examples=["omokage preview-data --limit 200", "omokage preview-data -S source=folder -S min_side=48 --force"],
    )
    add_settings_option(parser, "preview")
    parser.add_argument(
        "--limit", type=parse_count, metavar="N", help="analyse N images only, spread over the data set"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_output_options(parser, "preview.png", "contact sheet, a PNG file,")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Write the contact sheet and print the counts. Return the exit code."""
    # Imported late, because these modules load DVC and torch, which most commands do not need.
    from omokage.cli.data_preview import preview_data
    from omokage.cli.preview_sheet import compose_sheet
    from omokage.pipeline.plan import apply_settings

    root = find_checkout()
    out = check_output(arguments.out, ".png", [], arguments.force)
    values = apply_settings(load_yaml(root / "params.yaml"), arguments.settings)
    with TemporaryDirectory() as folder:
        preview = preview_data(root, values, arguments.limit, THREADS, Path(folder))
        with write_atomically(out) as partial:
            compose_sheet(preview).save(partial, "PNG")
    summary = {
        "counts": preview.counts,
        "groups": {
            name: {"count": len(rows), "examples": list(dict.fromkeys(row["picture"] for row in rows))[:MAX_EXAMPLES]}
            for name, rows in preview.groups.items()
        },
        "error": preview.error or None,
        "sheet": str(arguments.out),
    }
    if arguments.json:
        print(json.dumps(summary, indent=1, ensure_ascii=False))
    else:
        print_summary(summary)
    return 1 if preview.error else 0


def print_summary(summary: Mapping[str, Any]) -> None:
    """Print a line for each group of faces, the reason why the pipeline would stop, and the path of the sheet."""
    counts, groups = summary["counts"], summary["groups"]
    splits = f"{counts['train']} for training, {counts['held_out']} held out"
    print(f"{counts['pictures']} images: {counts['kept']} faces ({splits})")
    width = max(map(len, groups))
    for name, group in groups.items():
        examples = f"  for example {', '.join(group['examples'])}" if group["examples"] else ""
        print(f"{name:{width}} {group['count']:>8}{examples}")
    if summary["error"]:
        print(f"`dvc repro` would stop: {summary['error']}")
    print(f"{summary['sheet']}: examples of each line")
