"""`omokage score`: score anybody's images as the pipeline scores its samples."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omokage.base.memory import explain_out_of_memory
from omokage.cli.checkout import find_checkout, list_first
from omokage.config.yaml_file import load_yaml

if TYPE_CHECKING:
    from omokage.scoring.image_set import ImageSet

THREADS = min(2, os.cpu_count() or 1)
DESCRIPTION = """\
Print every score of the stage `evaluate` for the images in a folder, zip or tar, next to its floor (the score of real
faces): Fréchet distance, KID, precision, recall, coverage, face rate, repeated images, style and suspected copies. The
images are compared with this checkout's held-out faces, and the floor is the score of as many training faces. With
--against they are compared with a random half of the images of another folder; the other half gives the floor, and
copies are not searched. At most as many images are scored as the floor has, the first by name. Nothing is written."""
REMEDY = "give fewer or smaller images"
# Entries that are no scores. FID is also the distance.
SETTINGS = ("score", "extractor", "resize", "seed", "n", "n_reference", "feature_variance", "searched", "fid")
SUFFIXES = ("_low", "_high", "_floor")


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "score",
        help="score any images as the samples of the pipeline",
        description=DESCRIPTION,
        examples=["omokage score generated", "omokage score generated.zip --against photos.zip --resize"],
    )
    parser.add_argument("images", type=Path, metavar="IMAGES", help="a folder, zip or tar of square images")
    parser.add_argument(
        "--against", type=Path, metavar="REAL", help="compare with the images of this folder, zip or tar"
    )
    parser.add_argument(
        "--resize",
        action="store_true",
        help="resize images of another size than the real faces (Lanczos); with --against, to the usual size there",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with the name of every unreadable image")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print the scores. Return the exit code."""
    # Imported late, because these modules load torch, which most commands do not need.
    from omokage.scoring.image_set import find_usual_side, read_images, sample_real_images
    from omokage.scoring.score import find_held_out_side, score_images

    root, against = find_checkout(), None
    limit = load_yaml(root / "params.yaml")["reference_faces"]
    with explain_out_of_memory(REMEDY):
        if arguments.against:
            side = find_usual_side(arguments.against)
            against = sample_real_images(arguments.against, side, arguments.resize, 2 * limit)
        else:
            side = find_held_out_side(root)
        found = read_images(arguments.images, side, arguments.resize, limit)
        scores = score_images(found.images, root, against.images if against else None, THREADS)
    if arguments.json:
        sets = {
            "images": describe(arguments.images, found),
            "against": against and describe(arguments.against, against),
        }
        print(json.dumps({"scores": scores, "side": side, **sets}, indent=1, ensure_ascii=False))
        return 0
    print_scores(scores)
    size = f"{side} x {side} pixels"
    part = f", the first by name of {found.readable}" if found.readable > scores["n"] else ""
    print(f"\nn          {scores['n']} images of {arguments.images}, {size}{part}")
    if against:
        print(f"against    {scores['n_reference']} images of {arguments.against}, chosen at random by content")
        print(f"floor      the score of {scores['n']} other images of {arguments.against} (face_rate: of the above)")
        print("copies     not searched: that needs the images on which the model was trained, next to others")
    else:
        print(f"against    {scores['n_reference']} held-out faces of this checkout")
        print(f"floor      the score of {scores['n']} training faces (copies, face_rate: of held-out faces)")
    print(f"extractor  {scores['extractor']} (images resized for it: {scores['resize']}), seed {scores['seed']}")
    for path, item in ((arguments.images, found), *([(arguments.against, against)] if against else [])):
        for line in describe_exceptions(item, side):
            print(f"{line[0]:10} {path}: {line[1]}")
    return 0


def describe(path: Path, found: "ImageSet") -> dict[str, Any]:
    """Return what `--json` prints about a folder of images."""
    return {
        "path": str(path),
        "readable": found.readable,
        "copies": found.copies,
        "resized": {str(side): count for side, count in sorted(found.resized.items())},
        "unreadable": found.unreadable,
        "other_files": found.others,
    }


def describe_exceptions(found: "ImageSet", side: int) -> Iterator[tuple[str, str]]:
    """Yield headings and texts about images that were resized and files that were left out, if there are any."""
    if found.resized:
        sizes = list_first([f"{count} from {size} x {size}" for size, count in sorted(found.resized.items())])
        enlarged = sum(count for size, count in found.resized.items() if size < side)
        blurred = f"; enlarged, which blurs: {enlarged}" if enlarged else ""
        yield "resized", f"{sizes} to {side} x {side} (Lanczos){blurred}"
    if found.unreadable:
        reasons = list_first([f"{name} ({reason})" for name, reason in sorted(found.unreadable.items())])
        yield "left out", f"unreadable images, {len(found.unreadable)}: {reasons}"
    if found.copies:
        yield "left out", f"copies of another image: {found.copies}"
    if found.others:
        yield "left out", f"files that are no images: {found.others}"


def list_scores(scores: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, value, interval and floor of each score as text; the scores in a group follow one another."""
    for key, value in scores.items():
        if key in SETTINGS or key.endswith(SUFFIXES):
            continue
        floor = scores.get(f"{key}_floor")
        if isinstance(value, dict):
            # Descriptions and histograms are no scores.
            for name, inner in value.items() if all(isinstance(item, float | int) for item in value.values()) else ():
                yield f"{key}: {name}", f"{inner:.5g}", "", f"{floor[name]:.5g}" if floor else ""
            continue
        interval = f"{scores[f'{key}_low']:.5g} to {scores[f'{key}_high']:.5g}" if f"{key}_low" in scores else ""
        name = scores["score"] if key == "distance" else key
        yield name, f"{value:.5g}", interval, "" if floor is None else f"{floor:.5g}"


def print_scores(scores: Mapping[str, Any]) -> None:
    """Print a table of the scores."""
    rows = [("score", "value", "95 % interval", "floor"), *list_scores(scores)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for name, value, interval, floor in rows:
        line = f"{name:{widths[0]}}  {value:>{widths[1]}}  {interval:{widths[2]}}  {floor:>{widths[3]}}"
        print(line.rstrip())
