"""Send requests to Kaggle with kagglehub's client. No message contains a URL, a token, or a text of the server.

A URL may contain a signature that grants access, and the exceptions of requests contain URLs and headers.
"""

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from omokage.base.errors import UserError
from omokage.net import download
from omokage.net.download import call_server
from omokage.net.retry import AttemptFailed, RetriesExhausted, retry

SET_TOKEN = "create a token on kaggle.com (Settings, API) and set KAGGLE_API_TOKEN"
# What the user can do, by HTTP status.
ADVICE = {
    401: f"the token is missing, wrong or expired: {SET_TOKEN}",
    429: "there were too many requests: run again in an hour, or set KAGGLE_API_TOKEN",
}
# What an unexpected answer raises in kagglehub and the packages that it uses.
UNEXPECTED_ANSWER = (ValueError, TypeError, KeyError, AttributeError, IndexError)

T = TypeVar("T")


def build_client() -> Any:
    """Return kagglehub's client with the user's credentials, stripped and checked.

    Timeouts are added to its requests, because kagglehub sets none. Raises UserError if there are credentials that
    cannot be used.
    """
    # Imported late, because kagglehub takes over a second, reads the environment and configures logging.
    from kagglehub.clients import build_kaggle_client

    logging.getLogger("kagglehub").setLevel(logging.ERROR)  # kagglehub's other messages contain local paths
    try:
        client = build_kaggle_client()
        http = client.http_client()
        http._init_session()
    except Exception:
        # kagglehub's own message may contain the token, because kagglehub looks for a file with the token as its name.
        raise UserError("Kaggle's credentials cannot be read: check KAGGLE_API_TOKEN and ~/.kaggle") from None
    session = http._session
    if isinstance(session.auth, tuple):
        session.auth = tuple(_clean(part, "the user name or key") for part in session.auth)
    elif session.auth:
        session.auth.token = _clean(session.auth.token, "the token")
    session.send = functools.partial(session.send, timeout=download.TIMEOUT)
    return client


def _clean(secret: Any, description: str) -> str:
    """Return the credential without surrounding white space, which CI systems add. The message does not contain it."""
    text = secret.strip() if isinstance(secret, str) else ""
    if not text or not all("!" <= letter <= "~" for letter in text):
        raise UserError(
            f"Kaggle's credentials: {description} is empty, or contains spaces, line breaks or other characters that "
            "cannot be in it: copy it again from kaggle.com (Settings, API) into KAGGLE_API_TOKEN or ~/.kaggle"
        )
    return text


def call_kaggle(call: Callable[[], T]) -> T:
    """Return the result of `call`, which sends a request to Kaggle. Raises AttemptFailed if it fails."""
    try:
        return call_server("Kaggle", call, ADVICE)
    except UNEXPECTED_ANSWER as error:
        reason = f"Kaggle's answer could not be understood ({type(error).__name__})"
        raise AttemptFailed(reason, "run again later, or update kagglehub") from None


def request_metadata(client: Any, handle: Any) -> Any:
    """Return what Kaggle says about the data set, such as its current version and its licence."""
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    request = ApiGetDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.owner, handle.dataset
    return call_kaggle(lambda: client.datasets.dataset_api_client.get_dataset(request))


def request_archive(client: Any, handle: Any) -> Any:
    """Return the response with the archive of the data set, whose body is still to be read."""
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = handle.owner, handle.dataset
    request.dataset_version_number = handle.version
    return call_kaggle(lambda: client.datasets.dataset_api_client.download_dataset(request))


def request_current_version(client: Any, handle: Any) -> int:
    """Return the number of the current version. Raises RetriesExhausted if Kaggle does not give it."""

    def request() -> int:
        return call_kaggle(lambda: int(request_metadata(client, handle).current_version_number))

    return retry("the current version", request)


def explain_refusal(client: Any, handle: Any, status: int) -> str:
    """Return what is likely wrong if Kaggle refused to send the data set with HTTP status 403 or 404, and what to do.

    Kaggle may answer with 403 also for a data set that does not exist. Whether it shows the data set's page tells.
    """
    name = f"{handle.owner}/{handle.dataset}"
    try:
        current = request_current_version(client, handle)
    except RetriesExhausted as error:
        if error.last.status not in (401, 403, 404):
            return (
                f"check kaggle_dataset and kaggle_version; the request for its current version failed as well "
                f"({error.last.reason})"
            )
        return (
            f"Kaggle shows no data set {name}: check kaggle_dataset for a typing mistake (expected owner/name, as in "
            f"the address of its page); if it is private, {SET_TOKEN}"
        )
    if status == 404 or handle.version > current:
        return f"its current version is {current}: set kaggle_version: {current}"
    return (
        f"the data set exists, so its terms are probably not accepted yet: accept them on its page, and {SET_TOKEN} of "
        "the same account"
    )
