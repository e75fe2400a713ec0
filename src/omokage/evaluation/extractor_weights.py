"""Download clean-fid's Inception weights once, into a folder that all experiments share, and check the sha256.

No checksum of the weights file is published. So the sha256 is recorded at first use, and the file must have the
recorded sha256 at every later use.
"""

import os
import zipfile
from fcntl import LOCK_EX, flock
from pathlib import Path

from cleanfid.downloads_helper import inception_url

from omokage.base.checkout import find_main_checkout
from omokage.base.errors import UserError
from omokage.base.files import hash_file, write_text
from omokage.net.download import call_server, download_file, partial_size, request_file
from omokage.net.retry import AttemptFailed, RetriesExhausted, retry

INCEPTION_FILE = Path(inception_url).name  # the name that clean-fid looks for
DESCRIPTION = "the Inception weights"
ALTERNATIVE = "or set `extractor: efficientnet-lite0`, whose weights come with its package"


def fetch_inception_weights() -> tuple[Path, str]:
    """Return the path and the sha256 of the weights file, and download the file if it is missing.

    The environment variable OMOKAGE_WEIGHTS names the folder of the file. The default is `weights` in the main
    checkout. The recorded sha256 is in the same folder, in a file with suffix `.sha256`. The environment variable
    OMOKAGE_WEIGHTS_URL replaces the address of the download.

    Raises UserError if the file cannot be downloaded, read or written, if it is not TorchScript, or if its sha256
    differs from the recorded one.
    """
    folder = os.environ.get("OMOKAGE_WEIGHTS")
    path = (Path(folder) if folder else find_main_checkout(Path.cwd()) / "weights") / INCEPTION_FILE
    try:
        if not path.exists():
            _download(path)
        return path, _check_digest(path)
    except OSError as error:
        raise UserError(
            f"extractor = 'inception': {error.filename or path} cannot be read or written ({error.strerror}): correct "
            f"the cause, set OMOKAGE_WEIGHTS to another folder, {ALTERNATIVE}"
        ) from error


def _download(path: Path) -> None:
    """Download the weights file to `path`, or continue an interrupted download.

    A file lock lets only one experiment download at a time. Raises UserError if the download fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with path.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if path.exists():
            return
        try:
            retry(DESCRIPTION, lambda: _try_download(partial), lambda: partial_size(partial))
        except RetriesExhausted as error:
            raise UserError(
                f"extractor = 'inception': {error}, or download {inception_url} yourself and save it as {path}, "
                f"{ALTERNATIVE}"
            ) from None
        partial.replace(path)


def _try_download(partial: Path) -> None:
    """Download the rest of the weights to the file `partial`.

    Raises AttemptFailed, and removes the file, if the content is not TorchScript, for example a network's login page.
    """
    url = os.environ.get("OMOKAGE_WEIGHTS_URL", inception_url)
    call_server("the server", lambda: download_file(request_file(url), partial, DESCRIPTION), {})
    if not zipfile.is_zipfile(partial):
        partial.unlink()
        raise AttemptFailed(
            "the downloaded file is not TorchScript and was removed", "check whether the network requires a login"
        )


def _check_digest(path: Path) -> str:
    """Return the sha256 of the weights file, and record it at first use.

    Raises UserError if the file is not TorchScript at first use, or if the sha256 differs from the recorded one.
    """
    digest = hash_file(path)
    record = path.with_name(f"{path.name}.sha256")
    if not record.exists():
        if not zipfile.is_zipfile(path):
            raise UserError(
                f"extractor = 'inception': {path} is not TorchScript: replace it with clean-fid's file "
                f"({inception_url}), remove it to download it again, {ALTERNATIVE}"
            )
        write_text(record, f"{digest}  {path.name}\n")
    recorded = record.read_text(encoding="utf-8").split()[:1]
    if recorded != [digest]:
        raise UserError(
            f"extractor = 'inception': {path} has sha256 {digest}, expected {' '.join(recorded) or 'a sha256'} as "
            f"recorded in {record.name}: restore the earlier file, or remove both files to start with a new one"
        )
    return digest
