"""Collect a pinned version of a Kaggle data set. The zip is kept in kagglehub's cache and read there.

kagglehub provides the client, the credentials and the layout of the cache. Its function `download_file` is not used,
because it appends any response to a partial download, even an error page. It also does not check a file that has the
full size already.
"""

import functools
import hashlib
import logging
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any, TypeVar

from omokage.base.errors import UserError
from omokage.data.sources import archive
from omokage.data.sources.collection import (
    EXTENSIONS,
    Collection,
    Files,
    Licence,
    SkippedFile,
    list_folder,
    read_folder,
)
from omokage.net import download
from omokage.net.download import call_server, partial_size
from omokage.net.retry import AttemptFailed, RetriesExhausted, retry

# What the user can do, by HTTP status.
ADVICE = {
    401: "the data set requires a login: create a token on kaggle.com (Settings, API) and set KAGGLE_API_TOKEN",
    403: "access was denied: accept the terms on the data set's page and set KAGGLE_API_TOKEN",
    429: "there were too many requests: run again in an hour, or set KAGGLE_API_TOKEN",
}
CHECK_NAME = "check kaggle_dataset (owner/name) and kaggle_version, and set KAGGLE_API_TOKEN if the data set is private"
DOWNLOAD_MANUALLY = "or download the zip in a browser and set `source: folder` and `folder` to the path of the zip"

T = TypeVar("T")


def collect(dataset: str, version: int) -> Collection:
    """Return the images of this version of the data set `dataset` (owner/name), from all its folders.

    The data set is downloaded unless kagglehub's cache has it. Raises UserError if Kaggle cannot be reached, does not
    have this version or denies access, if the download fails repeatedly, or if there are no images. The message has one
    line and no URLs, because a URL may contain a signature that grants access.
    """
    # Imported here and below, because kagglehub takes over a second, reads the environment and configures logging.
    from kagglehub.cache import Cache, get_cached_archive_path
    from kagglehub.handle import DatasetHandle

    logging.getLogger("kagglehub").setLevel(logging.ERROR)  # kagglehub's other messages contain local paths
    owner, name = dataset.split("/")
    description = f"{dataset} version {version}"
    handle = DatasetHandle(owner, name, version)
    partial = Path(get_cached_archive_path(handle))
    zip_path, licence_path = partial.with_suffix(".zip"), partial.with_suffix(".licence")
    unpacked = Cache().load_from_cache(handle)  # another program may have downloaded the data set with kagglehub
    if not zip_path.exists() and not unpacked:
        try:
            _download(handle, partial, zip_path, licence_path, description)
        except OSError as error:
            raise UserError(
                f"{description} cannot be written to kagglehub's cache ({error.strerror}): free some space, or set "
                "KAGGLEHUB_CACHE to a folder on another disk, and run again (the download resumes)"
            ) from None
    files: Files
    if zip_path.exists():
        with _delete_if_damaged(zip_path):
            listing = archive.list_archive(zip_path, description)
        has_images = bool(listing.images)
        files = _read_zip(zip_path, listing, description)
    else:
        has_images = bool(list_folder(Path(unpacked))[0])
        files = read_folder(Path(unpacked))
    if not has_images:
        raise UserError(f"{description} has no images ({' '.join(EXTENSIONS)}): set another kaggle_dataset")
    page = f"https://www.kaggle.com/datasets/{dataset}/versions/{version}"
    licence = licence_path.read_text(encoding="utf-8") if licence_path.exists() else ""
    return Collection(
        name=f"Kaggle {dataset}",
        version=str(version),
        licences=(Licence(name, owner, page, licence or "as stated on the data set's page", page),),
        files=files,
    )


def _read_zip(
    zip_path: Path, listing: archive.ArchiveListing, description: str
) -> Iterator[tuple[str, bytes | SkippedFile]]:
    with _delete_if_damaged(zip_path):
        for name, content in archive.read_archive(zip_path, listing, description):
            if content is archive.DAMAGED:
                raise archive.DamagedArchiveError(f"{name} in {description} is damaged")
            yield name, content


@contextmanager
def _delete_if_damaged(zip_path: Path) -> Iterator[None]:
    """Delete the zip and raise UserError if the block finds the zip damaged.

    The next run then downloads it again.
    """
    try:
        yield
    except archive.DamagedArchiveError as error:
        zip_path.unlink(missing_ok=True)
        raise UserError(f"{error} (deleted from kagglehub's cache): run again, {DOWNLOAD_MANUALLY}") from error


def _download(handle: Any, partial: Path, zip_path: Path, licence_path: Path, description: str) -> None:
    """Download the zip to `partial` and, once it is complete, rename it to `zip_path`.

    The name of its licence is written to `licence_path`.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)  # concurrent experiments share the cache
        if zip_path.exists():
            return
        with _build_client() as client:
            try:
                retry(
                    description,
                    lambda: _complete_zip(client, handle, partial, description),
                    lambda: partial_size(partial),
                )
            except RetriesExhausted as error:
                if error.last.status == 404:
                    advice = _advise_version(client, handle)
                    raise UserError(f"{description}: {error.last.reason}: {advice}") from None
                raise UserError(f"{error}, {DOWNLOAD_MANUALLY}") from None
            try:
                licence = retry(f"the licence of {description}", lambda: _request_metadata(client, handle).license_name)
            except RetriesExhausted:
                licence = ""
        printable = "".join(letter for letter in (licence or "").strip()[:200] if letter.isprintable())
        licence_path.write_text(printable, encoding="utf-8")
        partial.replace(zip_path)


def _advise_version(client: Any, handle: Any) -> str:
    """Return what the user can do about a version that does not exist.

    The advice names the current version if Kaggle reports one.
    """
    try:
        number = retry("the current version", lambda: _request_metadata(client, handle).current_version_number)
    except RetriesExhausted as error:
        return f"{CHECK_NAME}; the request for its current version failed as well ({error.last.reason})"
    return f"its current version is {number}: set kaggle_version: {number}"


def _build_client() -> Any:
    """Return kagglehub's client with the user's credentials.

    Timeouts are added to its requests, because kagglehub sets none.
    """
    from kagglehub.clients import build_kaggle_client

    try:
        client = build_kaggle_client()
        http = client.http_client()
        http._init_session()
    except (OSError, ValueError):
        # kagglehub's own message may contain the token, because kagglehub looks for a file with the token as its name.
        raise UserError("Kaggle's credentials cannot be read: check KAGGLE_API_TOKEN and ~/.kaggle") from None
    http._session.send = functools.partial(http._session.send, timeout=download.TIMEOUT)
    return client


def _request_metadata(client: Any, handle: Any) -> Any:
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    request = ApiGetDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.owner, handle.dataset
    return _call_kaggle(lambda: client.datasets.dataset_api_client.get_dataset(request))


def _complete_zip(client: Any, handle: Any, partial: Path, description: str) -> None:
    """Download the missing bytes of the zip `partial`, and check it.

    If it does not have the MD5 that Kaggle states, or is not a valid zip, delete it and raise AttemptFailed.
    """
    from kagglehub.integrity import get_md5_checksum_from_response, to_b64_digest
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.owner, handle.dataset
    request.dataset_version_number = handle.version
    with _call_kaggle(lambda: client.datasets.dataset_api_client.download_dataset(request)) as response:
        _call_kaggle(lambda: download.download_file(response, partial, description))
        expected = get_md5_checksum_from_response(response)
    with partial.open("rb") as file:
        is_expected = not expected or to_b64_digest(hashlib.file_digest(file, "md5")) == expected
    fault = "" if is_expected else "its MD5 is not the one that Kaggle states"
    if is_expected:
        try:
            archive.list_archive(partial, description)
        except archive.DamagedArchiveError:
            if tarfile.is_tarfile(partial):
                raise UserError(
                    f"{description}: Kaggle delivers a tar, expected a zip: download the tar in a browser, repack it "
                    "as a zip, and set `source: folder` and `folder` to the path of the zip"
                ) from None
            fault = "it is not a valid zip"
    if fault:
        partial.unlink()
        raise AttemptFailed(f"the downloaded file is damaged ({fault}) and was deleted", "run again later")


def _call_kaggle(call: Callable[[], T]) -> T:
    """Return the result of `call`, which sends a request to Kaggle.

    Raises AttemptFailed if the request fails, and UserError if the credentials have invalid characters.
    """
    import requests

    def check_credentials() -> T:
        try:
            return call()
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError):
            raise UserError(
                "Kaggle's credentials contain characters that are not allowed in a token: check KAGGLE_API_TOKEN"
            ) from None

    return call_server("Kaggle", check_credentials, ADVICE)
