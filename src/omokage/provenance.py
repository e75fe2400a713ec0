"""Stamps that say what made a figure or a report, and their reading back.

A stamp is JSON with sorted keys: content hashes, parameters, versions, and no date, no revision, no path of a machine,
so that the same run stamps the same bytes. A picture's stamp holds the hash of its pixels too, so that an edit shows.
"""

import base64
import hashlib
import io
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

from omokage.errors import Refused

KEY = "omokage"
# As PNG does with its texts, the stamp of an SVG is packed: plain, it would outweigh the drawing.
IN_SVG = re.compile(rf'<metadata id="{KEY}">([A-Za-z0-9+/=]*)</metadata>\n')
FROM_THE_CHECKOUT = "remote://checkout/"
Stamp = dict[str, Any]
Record = dict[str, Any]


def record(path: Path) -> Record:
    """Read the record of one stage's run (a JSON list with one object); raise Refused if it is something else."""
    try:
        (only,) = json.loads(path.read_text(encoding="utf-8"))
        return {"stage": str(only["stage"]), **only}
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path.name} is no record of a run: write it anew with `dvc repro -f {path.stem}`") from error


def public(run: Record) -> Record:
    """Return a record as it may be shown: where the user's own pictures lie is left out, their content hash stays."""
    params = {key: value for key, value in run["params"].items() if key != "folder"}
    deps = {"folder" if path.startswith(FROM_THE_CHECKOUT) else path: digest for path, digest in run["deps"].items()}
    return {**run, "params": params, "deps": deps}


def chain(deps: Mapping[str, str], runs: Sequence[Record]) -> dict[str, Record]:
    """Follow files, given as path -> sha256, upstream and return the runs that they rest on, by stage.

    A path leads to the run whose outs hold it, that run's deps lead on, and what no run made ends there. Raises Refused
    where a file is not what its maker recorded.
    """
    makers = {path: run for run in runs for path in run["outs"]}
    found: dict[str, Record] = {}

    def follow(deps: Mapping[str, str]) -> None:
        for path, digest in deps.items():
            if (run := makers.get(path)) is None:
                continue
            if run["outs"][path] != digest:
                raise Refused(f"{path} is not what results/runs/{run['stage']}.json says: run `dvc repro`")
            if run["stage"] not in found:
                found[run["stage"]] = public({key: value for key, value in run.items() if key != "stage"})
                follow(run["deps"])

    follow(deps)
    return found


def text(stamp: Mapping[str, Any]) -> str:
    """Return the stamp as compact JSON in ASCII, safe inside an HTML script and an HTML comment."""
    written = json.dumps(stamp, sort_keys=True, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")


def save_png(image: Image.Image, path: Path | IO[bytes], stamp: Mapping[str, Any]) -> None:
    """Write a stamped PNG, as small as it gets without changing a pixel."""
    info = PngInfo()
    info.add_itxt(KEY, text({**stamp, "pixels": _pixels(image)}), zip=True)
    colours = image.getcolors(256)
    small = image.quantize(len(colours), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) if colours else image
    exact = small.convert("RGB").tobytes() == image.tobytes()
    (small if exact else image).save(path, "PNG", optimize=True, pnginfo=info)


def save_gif(frames: Sequence[Image.Image], milliseconds: Sequence[int], path: Path, stamp: Mapping[str, Any]) -> None:
    """Write a stamped, endless GIF of palette pictures, each shown for so long."""

    def write(to: Path | io.BytesIO, comment: str) -> None:
        frames[0].save(
            to,
            "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=list(milliseconds),
            loop=0,
            optimize=False,
            comment=comment.encode("ascii"),
        )

    # A GIF joins frames that are alike: only what it decodes to tells which it has.
    written = io.BytesIO()
    write(written, "")
    with Image.open(written) as image:
        decoded = _pixels(image)
    write(path, text({**stamp, "pixels": decoded}))


def save_svg(svg: str, path: Path, stamp: Mapping[str, Any]) -> None:
    """Write a stamped SVG: a `metadata` element that goes before all that is drawn."""
    whole = text({**stamp, "pixels": hashlib.sha256(svg.encode()).hexdigest()})
    packed = base64.b64encode(zlib.compress(whole.encode("ascii"), 9)).decode("ascii")
    head, tag, drawing = svg.partition("<svg")
    opening, end, drawing = drawing.partition(">\n")
    path.write_text(f'{head}{tag}{opening}{end}<metadata id="{KEY}">{packed}</metadata>\n{drawing}', encoding="utf-8")


def read(path: Path) -> Stamp:
    """Return the stamp of a PNG, GIF, SVG, HTML or Markdown file; raise Refused if it carries none."""
    try:
        return dict(json.loads(_stamped_text(path)))
    except (KeyError, ValueError, OSError, zlib.error) as error:
        raise Refused(f"{path.name} carries no stamp: expected a figure or report with its metadata") from error


def _stamped_text(path: Path) -> str:
    if path.suffix == ".svg":
        (packed,) = IN_SVG.findall(path.read_text(encoding="utf-8"))
        return zlib.decompress(base64.b64decode(packed)).decode("ascii")
    if path.suffix in (".html", ".md"):
        stamps: list[str] = re.findall(rf'(?:id="{KEY}">|<!-- {KEY} )(\{{.*\}})', path.read_text(encoding="utf-8"))
        return stamps[-1] if stamps else ""
    with Image.open(path) as image:
        image.load()
        found = image.info["comment" if image.format == "GIF" else KEY]
    return found.decode("ascii") if isinstance(found, bytes) else str(found)


def pixels(path: Path) -> str:
    """Return the sha256 of a picture's decoded RGB pixels, frame by frame, which outlives the loss of its metadata.

    Of an SVG, which has none, it is that of the text without the metadata.
    """
    if path.suffix == ".svg":
        return hashlib.sha256(IN_SVG.sub("", path.read_text(encoding="utf-8")).encode()).hexdigest()
    with Image.open(path) as image:
        return _pixels(image)


def _pixels(image: Image.Image) -> str:
    digest = hashlib.sha256()
    for frame in ImageSequence.Iterator(image):
        digest.update(f"{frame.width}x{frame.height}\n".encode())
        digest.update(frame.convert("RGB").tobytes())
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
