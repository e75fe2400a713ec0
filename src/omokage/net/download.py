"""Download files over HTTP, and resume partial downloads.

Error messages contain no URLs, because a URL may contain a signature that grants access.
"""

import os
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from omokage.base.progress import show_progress
from omokage.net.retry import AttemptFailed

TIMEOUT = (10.0, 60.0)  # seconds to connect, and to wait for the next bytes
CHUNK = 2**16  # bytes written at once; when the connection breaks, an incomplete chunk is lost
RETRY_LATER = "run again later (the download resumes)"

T = TypeVar("T")


def call_server(server: str, call: Callable[[], T], advice: Mapping[int, str]) -> T:
    """Return the result of `call`, which sends a request to `server` with the package requests.

    `advice` maps HTTP statuses to what the user can do. Raises AttemptFailed, without URLs, if the request fails.
    """
    import requests

    try:
        return call()
    except requests.HTTPError as error:
        assert error.response is not None  # raise_for_status sets it
        status = error.response.status_code
        raise AttemptFailed(
            f"{server} answered with HTTP status {status}",
            advice.get(status, RETRY_LATER),
            status=status,
            wait=parse_retry_after(error.response.headers.get("Retry-After", "")) if status in (429, 503) else 0,
            is_final=status not in (408, 429) and status < 500,
        ) from None
    except requests.RequestException as error:
        raise AttemptFailed(
            f"the connection to {server} failed ({type(error).__name__})",
            "check the network and run again (the download resumes)",
        ) from None


def parse_retry_after(header: str) -> float:
    """Return for how many seconds a Retry-After header asks the client to wait.

    The header is a number of seconds or an HTTP date; for any other text, 0 is returned. For a past date the result is
    negative.
    """
    try:
        return float(header)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(header).timestamp() - time.time()
    except ValueError:
        return 0


def request_file(url: str, start: int = 0) -> Any:
    """Request the file at `url` from byte `start` on, and return the streamed response (requests.Response).

    Raises requests.RequestException on failure.
    """
    import requests

    headers = {"Range": f"bytes={start}-"} if start else {}
    response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    response.raise_for_status()
    return response


def download_file(response: Any, partial: Path, description: str) -> None:
    """Write the body of `response` to the file `partial`, or append what is missing there.

    `response` is a streamed response for the whole file. If `partial` already holds the first bytes of the file and the
    server supports ranges, only the other bytes are requested. `description` names the file in the progress bar. Raises
    requests.RequestException on failure.
    """
    total = int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
    size = partial_size(partial)
    if size == total:
        return
    if total and 0 < size < total and response.headers.get("Accept-Ranges") == "bytes":
        response.close()
        response = request_file(response.url, size)
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        size = 0
    no_items: tuple[bytes, ...] = ()
    with (
        response,
        partial.open("ab" if size else "wb") as file,
        show_progress(no_items, f"downloading {description}", total=total, initial=size, unit="B") as bar,
    ):
        bar.unit_scale, bar.unit_divisor = True, 1024
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
        os.fsync(file.fileno())


def partial_size(partial: Path) -> int:
    """Return the size in bytes of a partial download, 0 if there is none."""
    return partial.stat().st_size if partial.exists() else 0
