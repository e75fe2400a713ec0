"""clean-fid's Inception weights: brought once into a folder that all runs share, and known again by their sha256.

A hash of them that could be looked up is published nowhere, so it is recorded at first use and held against ever after.
"""

import os
import zipfile
from fcntl import LOCK_EX, flock
from hashlib import file_digest
from pathlib import Path

from cleanfid.downloads_helper import inception_url

from omokage.checkout import main_checkout
from omokage.data.patience import Failed, GaveUp, patiently
from omokage.data.transfer import asked, begun, size, transfer
from omokage.errors import Refused
from omokage.evaluation import INCEPTION_WEIGHTS

WHAT = "the Inception weights"
INSTEAD = "or take `extractor: efficientnet-lite0`, whose weights come with its package"


def inception() -> tuple[Path, str]:
    """Return where the weights file lies, and its sha256; what is not there is downloaded.

    It lies in the folder that the environment variable OMOKAGE_WEIGHTS names, else in `weights` of the main checkout,
    its sha256 beside it. OMOKAGE_WEIGHTS_URL names another place to download it from. Raises Refused, in one line, if
    it cannot be brought or kept, is no TorchScript or is not the one of before.
    """
    named = os.environ.get("OMOKAGE_WEIGHTS")
    path = (Path(named) if named else main_checkout(Path.cwd()) / "weights") / INCEPTION_WEIGHTS
    try:
        if not path.exists():
            _download(path)
        return path, _known(path)
    except OSError as error:
        raise Refused(
            f"extractor = 'inception': {error.filename or path} cannot be read or written ({error.strerror}): put it "
            f"right, name another folder in OMOKAGE_WEIGHTS, {INSTEAD}"
        ) from error


def _download(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with path.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)  # experiments that run side by side share the folder
        if path.exists():
            return
        try:
            patiently(WHAT, lambda: _bring(partial), lambda: size(partial))
        except GaveUp as gave_up:
            raise Refused(
                f"extractor = 'inception': {gave_up}, or put the file ({inception_url}) at {path} by hand, {INSTEAD}"
            ) from None
        partial.replace(path)


def _bring(partial: Path) -> None:
    """Complete `partial`; one that is no TorchScript, such as a network's page that asks for a login, is deleted."""
    url = os.environ.get("OMOKAGE_WEIGHTS_URL", inception_url)
    asked("their server", lambda: transfer(begun(url), partial, WHAT), {})
    if not zipfile.is_zipfile(partial):
        partial.unlink()
        raise Failed("what arrived is no TorchScript and is deleted", "look whether the network asks for a login")


def _known(path: Path) -> str:
    """Return the file's sha256 once it is known to be the recorded one; record it if none is."""
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    record = path.with_name(f"{path.name}.sha256")
    if not record.exists():
        if not zipfile.is_zipfile(path):
            raise Refused(
                f"extractor = 'inception': {path} is no TorchScript: put clean-fid's file ({inception_url}) there, or "
                f"delete it and have it downloaded, {INSTEAD}"
            )
        partial = record.with_suffix(f".{os.getpid()}")
        partial.write_text(f"{found}  {path.name}\n", encoding="utf-8")
        partial.replace(record)
    if (known := record.read_text(encoding="utf-8").split()[:1]) != [found]:
        raise Refused(
            f"extractor = 'inception': {path} has sha256 {found}, where {record.name} beside it says "
            f"{' '.join(known) or 'nothing'}: put the file of before back, or delete both to judge by another one"
        )
    return found
