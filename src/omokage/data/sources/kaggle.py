"""A pinned version of a Kaggle data set: its archive is kept whole in kagglehub's cache, and read there.

The client, the credentials and the places in the cache are kagglehub's. Its `download_file` is not used: it appends
whatever answers a resumed request, an error page too, and does not check an archive that already has the full size.
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

from omokage.data import archive, transfer
from omokage.data.patience import Failed, GaveUp, patiently
from omokage.data.pictures import EXTENSIONS, Collection, Files, LeftOut, Licence, in_folder, listed
from omokage.data.transfer import asked, size
from omokage.errors import Refused

ADVICE = {
    401: "it asks for a login: create a token on kaggle.com (Settings, API) and set KAGGLE_API_TOKEN",
    403: "it denies access: accept the data set's terms on its page and set KAGGLE_API_TOKEN",
    429: "it has been asked too often: run again in an hour, or with KAGGLE_API_TOKEN set",
}
UNKNOWN = "check kaggle_dataset (owner/name) and kaggle_version, and set KAGGLE_API_TOKEN if it is private"
BY_HAND = "or download it in a browser and set source: folder and folder: the zip's path"

T = TypeVar("T")


def collect(dataset: str, version: int) -> Collection:
    """Return the pictures of `owner/name` in that version, whatever folders they lie in; download what is not cached.

    Raises Refused, in one line without addresses (which may carry signatures), if Kaggle cannot be reached, has no
    such version or denies it, if the download breaks again and again, or if there is no picture in it.
    """
    # Imported here and below: it takes more than a second, reads the environment and sets up logging.
    from kagglehub.cache import Cache, get_cached_archive_path
    from kagglehub.handle import DatasetHandle

    logging.getLogger("kagglehub").setLevel(logging.ERROR)  # its messages name the machine's paths
    owner, name = dataset.split("/")
    what = f"{dataset} version {version}"
    handle = DatasetHandle(owner, name, version)
    partial = Path(get_cached_archive_path(handle))
    kept, terms = partial.with_suffix(".zip"), partial.with_suffix(".licence")
    unpacked = Cache().load_from_cache(handle)  # by kagglehub itself, for someone else
    if not kept.exists() and not unpacked:
        try:
            _keep(handle, partial, kept, terms, what)
        except OSError as error:
            raise Refused(
                f"{what} cannot be written to kagglehub's cache ({error.strerror}): make room, or set KAGGLEHUB_CACHE "
                f"to a folder on another disk, and run again (the download goes on where it stopped)"
            ) from None
    files: Files
    if kept.exists():
        with _intact(kept):
            listing = archive.listed(kept, what)
        found = bool(listing.pictures)
        files = _read(kept, listing, what)
    else:
        found = bool(listed(Path(unpacked))[0])
        files = in_folder(Path(unpacked))
    if not found:
        raise Refused(f"{what} holds no picture ({' '.join(EXTENSIONS)}): name another kaggle_dataset")
    page = f"https://www.kaggle.com/datasets/{dataset}/versions/{version}"
    licence = terms.read_text(encoding="utf-8") if terms.exists() else ""
    return Collection(
        name=f"Kaggle {dataset}",
        version=str(version),
        licences=(Licence(name, owner, page, licence or "as stated on the data set's page", page),),
        files=files,
    )


def _read(kept: Path, listing: archive.Listing, what: str) -> Iterator[tuple[str, bytes | LeftOut]]:
    with _intact(kept):
        for name, content in archive.read(kept, listing, what):
            if content is archive.DAMAGED:
                raise archive.Damaged(f"{name} in {what} is damaged")
            yield name, content


@contextmanager
def _intact(kept: Path) -> Iterator[None]:
    """Delete an archive that turns out to be damaged, so that the next run brings another."""
    try:
        yield
    except archive.Damaged as damaged:
        kept.unlink(missing_ok=True)
        raise Refused(f"{damaged} (it is deleted from kagglehub's cache: run again, {BY_HAND})") from damaged


def _keep(handle: Any, partial: Path, kept: Path, terms: Path, what: str) -> None:
    """Download to `partial`, then move to `kept` once it is whole, with the licence in `terms` beside it."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)  # experiments that run side by side share the cache
        if kept.exists():
            return
        with _client() as client:
            try:
                patiently(what, lambda: _bring(client, handle, partial, what), lambda: size(partial))
            except GaveUp as gave_up:
                if gave_up.last.status == 404:
                    raise Refused(f"{what}: {gave_up.last.why}: {_current(client, handle)}") from None
                raise Refused(f"{gave_up}, {BY_HAND}") from None
            try:
                licence = patiently(f"the licence of {what}", lambda: _about(client, handle).license_name) or ""
            except GaveUp:
                licence = ""
        terms.write_text("".join(letter for letter in licence.strip()[:200] if letter.isprintable()), encoding="utf-8")
        partial.replace(kept)


def _current(client: Any, handle: Any) -> str:
    """Say which version there is instead of one that is not."""
    try:
        number = patiently("its current version", lambda: _about(client, handle).current_version_number)
    except GaveUp as gave_up:
        return f"{UNKNOWN}; its current version could not be asked for either ({gave_up.last.why})"
    return f"its current version is {number}: set kaggle_version: {number}"


def _client() -> Any:
    """Return kagglehub's client, with the credentials that it finds, and with time-outs, which it has not."""
    from kagglehub.clients import build_kaggle_client

    try:
        client = build_kaggle_client()
        http = client.http_client()
        http._init_session()
    except (OSError, ValueError):
        # Not their words: kagglehub looks for a file named after the token, and says so.
        raise Refused("Kaggle's credentials cannot be read: check KAGGLE_API_TOKEN and ~/.kaggle") from None
    http._session.send = functools.partial(http._session.send, timeout=transfer.TIMEOUT)
    return client


def _about(client: Any, handle: Any) -> Any:
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    request = ApiGetDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.owner, handle.dataset
    return _asked(lambda: client.datasets.dataset_api_client.get_dataset(request))


def _bring(client: Any, handle: Any, partial: Path, what: str) -> None:
    """Complete `partial`; one that is not what Kaggle states, or no zip, is deleted."""
    from kagglehub.integrity import get_md5_checksum_from_response, to_b64_digest
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.owner, handle.dataset
    request.dataset_version_number = handle.version
    with _asked(lambda: client.datasets.dataset_api_client.download_dataset(request)) as answer:
        _asked(lambda: transfer.transfer(answer, partial, what))
        stated = get_md5_checksum_from_response(answer)
    with partial.open("rb") as file:
        same = not stated or to_b64_digest(hashlib.file_digest(file, "md5")) == stated
    try:
        if not same:
            raise archive.Damaged("not the MD5 that Kaggle states")
        archive.listed(partial, what)
    except archive.Damaged:
        if same and tarfile.is_tarfile(partial):
            raise Refused(f"{what}: Kaggle delivers it as a tar, which is not read: make a zip of it") from None
        partial.unlink()
        why = "no sound zip" if same else "not the MD5 that Kaggle states"
        raise Failed(f"the archive arrived damaged ({why}) and is deleted", "run again later") from None


def _asked(call: Callable[[], T]) -> T:
    """Return what `call` brings from Kaggle; raise Failed if it does not."""
    import requests

    def with_credentials() -> T:
        try:
            return call()
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError):
            raise Refused("Kaggle's credentials hold characters that no token has: check KAGGLE_API_TOKEN") from None

    return asked("Kaggle", with_credentials, ADVICE)
