"""A pinned version of a Kaggle data set, brought by kagglehub into its cache, where a broken download resumes."""

import contextlib
import io
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from zipfile import BadZipFile

from omokage.data.pictures import EXTENSIONS, Collection, Licence, in_folder, is_picture
from omokage.errors import Refused


def collect(dataset: str, version: int) -> Collection:
    """Return the pictures of `owner/name` in that version, whatever folders they lie in; download what is not cached.

    Raises Refused, in one line without addresses (which may carry signatures), if Kaggle cannot be reached, has no
    such version or denies it, if the download breaks, or if there is no picture in it.
    """
    folder = _download(dataset, version)
    if not any(is_picture(file.relative_to(folder).as_posix()) for file in folder.rglob("*")):
        raise Refused(
            f"{dataset} version {version} holds no picture ({' '.join(EXTENSIONS)}): name another kaggle_dataset"
        )
    owner, name = dataset.split("/")
    page = f"https://www.kaggle.com/datasets/{dataset}/versions/{version}"
    return Collection(
        name=f"Kaggle {dataset}",
        version=str(version),
        licences=(Licence(name, owner, page, "as stated on the data set's page", page),),
        pictures=in_folder(folder),
    )


def _download(dataset: str, version: int) -> Path:
    # Imported here: it takes more than a second, reads the environment and sets up logging.
    import kagglehub
    import requests
    from kagglehub.exceptions import DataCorruptionError

    # Its messages name the machine's paths.
    logging.getLogger("kagglehub").setLevel(logging.ERROR)
    what = f"{dataset} version {version}"
    by_hand = "or download it in a browser and set source: folder and folder: the zip's path"
    try:
        with _quietly():
            return Path(kagglehub.dataset_download(f"{dataset}/versions/{version}"))
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        reason = {
            401: "asks for a login: create a token on kaggle.com (Settings, API) and set KAGGLE_API_TOKEN",
            403: "denies access: accept the data set's terms on its page and set KAGGLE_API_TOKEN",
            404: "does not know it: check kaggle_dataset (owner/name) and kaggle_version",
        }.get(status, f"answered with HTTP status {status}: run again later")
        raise Refused(f"Kaggle, asked for {what}, {reason}, {by_hand}") from None
    except requests.RequestException as error:
        raise Refused(
            f"{what} could not be brought from Kaggle ({type(error).__name__}): check the network and run again "
            f"(the download goes on where it stopped), {by_hand}"
        ) from None
    except DataCorruptionError:
        raise Refused(f"{what} arrived damaged (not the MD5 that Kaggle states), and is deleted: run again") from None
    except (ValueError, BadZipFile, OSError) as error:
        raise Refused(
            f"{what} could not be unpacked ({error}): see that the disk is not full, delete the data set from "
            f"kagglehub's cache (KAGGLEHUB_CACHE, else ~/.cache/kagglehub) and run again, {by_hand}"
        ) from None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Let a progress bar be redrawn on a terminal; elsewhere turn it into a line every ten seconds."""
    log = sys.stderr if sys.stderr.isatty() else _Lines(sys.stderr)
    with contextlib.redirect_stderr(log), contextlib.redirect_stdout(log):
        yield


class _Lines(io.TextIOBase):
    def __init__(self, log: TextIO, every: float = 10) -> None:
        self.log, self.every, self.next = log, every, time.monotonic() + every

    def write(self, text: str, /) -> int:
        if text.strip() and time.monotonic() >= self.next:
            self.log.write(f"downloading: {text.strip()}\n")
            self.next = time.monotonic() + self.every
        return len(text)
