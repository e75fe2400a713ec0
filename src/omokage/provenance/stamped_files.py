"""Find the figures and reports in git that have a stamp (embedded metadata), and hash what identifies them."""

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from omokage.base.errors import UserError
from omokage.base.files import hash_bytes
from omokage.pipeline.dvc_lock import hash_md5
from omokage.provenance.history import History
from omokage.provenance.locked_runs import OutputLocation
from omokage.provenance.repository import StoredFile
from omokage.stamps.stamp import Stamp, hash_pixels, read_stamp

# Commands that write figures but no run record, by the key that they add to the stamp.
COMMANDS = {
    "transform": "omokage transform",
    "sample": "omokage sample",
    "demo": "omokage demo",
    "compare": "omokage compare",
}
# The keys of a run record that a stamp repeats for every run.
RECORD_PARTS = ("params", "deps", "code", "packages")
STAMPED = ("results/figures", "results/report.html", "results/report.md")
MODEL = "results/model.safetensors"


class Signature(NamedTuple):
    """The hashes that identify a stamped file: the MD5 of its bytes, and sha256s that are None if not applicable.

    `pixels` is that of the decoded image, `stamp` that of the metadata without the pixel hash, and `model` that of the
    model behind the file.
    """

    md5: str
    pixels: str | None
    stamp: str | None
    model: str | None


def sign_file(path: Path) -> tuple[Signature, Stamp | None]:
    """Return the signature of a file and its stamp, if it has one. Safe for untrusted files."""
    stamp = load_stamp(path)
    outs = stamp["runs"].get("train", {}).get("outs", {}) if stamp and "runs" in stamp else {}
    stamp_hash = hash_stamp(stamp) if stamp else None
    return Signature(hash_md5(path), _load_pixel_hash(path), stamp_hash, outs.get(MODEL)), stamp


def hash_stamp(stamp: Stamp) -> str:
    """Return the sha256 of a stamp without its pixel hash, so that it identifies the run."""
    return hash_bytes(json.dumps({**stamp, "pixels": None}, sort_keys=True).encode())


def find_stamped_outputs(history: History) -> Iterator[tuple[OutputLocation, Signature]]:
    """Yield every figure and report that a revision has and that the dvc.lock of the revision lists."""
    for revision in history.revisions:
        listed = {
            (out, md5): stage
            for stage, entry in history.locks(revision).items()
            for out, md5 in entry["outs"].items()
            if out.startswith(STAMPED)
        }
        for file in [file for path in STAMPED if listed for file in history.list_files(revision, path)]:
            values = history.cache.get("signature", file.blob, partial(_sign_stored, file))
            signature = Signature(*values)
            if stage := listed.get((file.path, signature.md5)):
                yield OutputLocation(revision, stage, file.path, signature.md5), signature


def _sign_stored(file: StoredFile) -> Signature:
    return read_stored(file)[0]


def read_stored(file: StoredFile) -> tuple[Signature, Stamp | None]:
    """Return the signature and the stamp of a file in git."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(file.path).name
        copy.write_bytes(file.read())
        return sign_file(copy)


def read_location(history: History, location: OutputLocation) -> Stamp | None:
    """Return the stamp of the file at this location, or None if it has none."""
    (file,) = history.list_files(location.revision, location.path)
    return read_stored(file)[1]


def load_stamp(path: Path) -> Stamp | None:
    """Return the stamp of a file, or None if the stamp is missing or malformed. Safe for untrusted files."""
    try:
        stamp = read_stamp(path)
    except (UserError, TypeError, SyntaxError, RecursionError, Image.DecompressionBombError):
        return None
    runs = stamp.get("runs", {})
    if (
        not {"figure", "report", *COMMANDS} & stamp.keys()
        or not all(isinstance(stamp.get(key, ""), str) for key in ("figure", "report"))
        or not isinstance(runs, dict)
        or not all(isinstance(run, dict) and set(RECORD_PARTS) <= run.keys() for run in runs.values())
    ):
        return None
    tables = [part[key] for part in (stamp, *runs.values()) for key in (*RECORD_PARTS, "outs", "facts") if key in part]
    commands = [stamp[key] for key in COMMANDS if key in stamp]
    return stamp if all(isinstance(table, dict) for table in (*tables, *commands)) else None


def _load_pixel_hash(path: Path) -> str | None:
    try:
        return hash_pixels(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
