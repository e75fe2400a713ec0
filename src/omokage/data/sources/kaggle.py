"""Collect a pinned version of a Kaggle data set. The archive is kept in kagglehub's cache and read there.

kagglehub provides the client, the credentials and the layout of the cache. Its function `download_file` is not used,
because it appends any response to a partial download, even an error page. It also does not check a file that has the
full size already.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.data.sources import kaggle_client
from omokage.data.sources.archive import open_archive
from omokage.data.sources.collection import Collection, Files, Licence
from omokage.data.sources.container import Container, DamagedArchiveError, read_container
from omokage.data.sources.directory import open_folder
from omokage.net import download
from omokage.net.download import partial_size
from omokage.net.retry import AttemptFailed, RetriesExhausted, retry

DOWNLOAD_MANUALLY = "or download the zip in a browser and set `source: folder` and `folder` to the path of the zip"
NO_IMAGE = (
    "set another kaggle_dataset, or download it in a browser, unpack or convert what it holds, and set "
    "`source: folder` and `folder` to the result"
)


def collect(dataset: str, version: int) -> Collection:
    """Return the images of this version of the data set `dataset` (owner/name), from all its folders.

    The data set is downloaded unless kagglehub's cache has it. Raises UserError if `version` is 0, if Kaggle cannot be
    reached, does not have this version or denies access, or if the download fails repeatedly. Iterating the files
    raises UserError if there are no images. The message has one line, without URLs and credentials.
    """
    # Imported late, because kagglehub takes over a second.
    from kagglehub.cache import Cache, get_cached_archive_path
    from kagglehub.handle import DatasetHandle

    owner, name = dataset.split("/")
    if not version:
        raise _reject_unpinned(DatasetHandle(owner, name, None))
    description = f"{dataset} version {version}"
    handle = DatasetHandle(owner, name, version)
    partial = Path(get_cached_archive_path(handle))
    archive, licence_path = partial.with_suffix(".zip"), partial.with_suffix(".licence")
    unpacked = Cache().load_from_cache(handle)  # another program may have downloaded the data set with kagglehub
    if not archive.exists() and not unpacked:
        try:
            _download(handle, partial, archive, licence_path, description)
        except OSError as error:
            raise UserError(
                f"{description} cannot be written to kagglehub's cache ({error.strerror}): free some space, or set "
                "KAGGLEHUB_CACHE to a folder on another disk, and run again (the download resumes)"
            ) from None
    files: Files
    if archive.exists():
        with _delete_if_damaged(archive):
            container = open_archive(archive, description)
        files = _read_archive(archive, container)
    else:
        files = read_container(open_folder(Path(unpacked), description), NO_IMAGE)
    page = f"https://www.kaggle.com/datasets/{dataset}/versions/{version}"
    licence = licence_path.read_text(encoding="utf-8") if licence_path.exists() else ""
    return Collection(
        name=f"Kaggle {dataset}",
        version=str(version),
        licences=(Licence(name, owner, page, licence or "as stated on the data set's page", page),),
        files=files,
    )


def _reject_unpinned(handle: Any) -> UserError:
    """Return the error for a version that is not pinned, which names the current version."""
    with kaggle_client.build_client() as client:
        try:
            advice = f"its current version is {(number := kaggle_client.request_current_version(client, handle))}"
            remedy = f"set kaggle_version: {number}"
        except RetriesExhausted as error:
            advice = f"the request for its current version failed ({error.last.reason})"
            remedy = "set kaggle_version to the number that the data set's page shows"
    return UserError(
        f"{handle.owner}/{handle.dataset}: kaggle_version must be a fixed version, since the newest one may change: "
        f"{advice}: {remedy}"
    )


def _read_archive(archive: Path, container: Container) -> Files:
    with _delete_if_damaged(archive):
        yield from read_container(container, NO_IMAGE)


@contextmanager
def _delete_if_damaged(archive: Path) -> Iterator[None]:
    """Delete the archive and raise UserError if the block finds it damaged as a whole.

    The next run then downloads it again.
    """
    try:
        yield
    except DamagedArchiveError as error:
        archive.unlink(missing_ok=True)
        raise UserError(f"{error} (deleted from kagglehub's cache): run again, {DOWNLOAD_MANUALLY}") from error


def _download(handle: Any, partial: Path, archive: Path, licence_path: Path, description: str) -> None:
    """Download the archive to `partial` and, once it is complete, rename it to `archive`.

    The name of its licence is written to `licence_path`.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)  # concurrent experiments share the cache
        if archive.exists():
            return
        with kaggle_client.build_client() as client:
            try:
                retry(
                    description,
                    lambda: _complete_archive(client, handle, partial, description),
                    lambda: partial_size(partial),
                )
            except RetriesExhausted as error:
                if error.last.status in (403, 404):
                    advice = kaggle_client.explain_refusal(client, handle, error.last.status)
                    raise UserError(f"{description}: {error.last.reason}: {advice}") from None
                raise UserError(f"{error}, {DOWNLOAD_MANUALLY}") from None
            licence_path.write_text(_request_licence(client, handle, description), encoding="utf-8")
        partial.replace(archive)


def _request_licence(client: Any, handle: Any, description: str) -> str:
    """Return the name of the licence; "" if Kaggle does not give it."""
    try:
        metadata = retry(f"the licence of {description}", lambda: kaggle_client.request_metadata(client, handle))
    except RetriesExhausted:
        return ""
    return "".join(letter for letter in str(metadata.license_name or "").strip()[:200] if letter.isprintable())


def _complete_archive(client: Any, handle: Any, partial: Path, description: str) -> None:
    """Download the missing bytes of the archive `partial`, and check it.

    If it does not have the MD5 that Kaggle states, or is not a valid archive, delete it and raise AttemptFailed.
    """
    from kagglehub.integrity import get_md5_checksum_from_response, to_b64_digest

    with kaggle_client.request_archive(client, handle) as response:
        kaggle_client.call_kaggle(lambda: download.download_file(response, partial, description))
        expected = get_md5_checksum_from_response(response)
    with partial.open("rb") as file:
        is_expected = not expected or to_b64_digest(hashlib.file_digest(file, "md5")) == expected
    fault = "" if is_expected else "its MD5 is not the one that Kaggle states"
    if is_expected:
        try:
            open_archive(partial, description)
        except DamagedArchiveError:
            fault = "it is not a valid zip or tar"
    if fault:
        partial.unlink()
        raise AttemptFailed(f"the downloaded file is damaged ({fault}) and was deleted", "run again later")
