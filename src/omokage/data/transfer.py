"""Brings files over HTTP: goes on where it stopped, and says what failed without addresses, which may be signed."""

import os
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from omokage.data.patience import Failed
from omokage.progress import progress

TIMEOUT = (10.0, 60.0)  # seconds to connect, and to wait for the next bytes
CHUNK = 2**16  # bytes; what has come of one is lost when the connection breaks
LATER = "run again later (the download goes on where it stopped)"

T = TypeVar("T")


def asked(server: str, call: Callable[[], T], advice: Mapping[int, str]) -> T:
    """Return what `call` brings from `server`; raise Failed, without the addresses in the exceptions of requests.

    `advice` says by HTTP status what the user can do about it.
    """
    import requests

    try:
        return call()
    except requests.HTTPError as error:
        assert error.response is not None  # whoever raises it hands it on
        status = error.response.status_code
        raise Failed(
            f"{server} answered with HTTP status {status}",
            advice.get(status, LATER),
            status=status,
            wait=seconds(error.response.headers.get("Retry-After", "")) if status in (429, 503) else 0,
            final=status not in (408, 429) and status < 500,
        ) from None
    except requests.RequestException as error:
        raise Failed(
            f"the connection to {server} failed ({type(error).__name__})",
            "check the network and run again (the download goes on where it stopped)",
        ) from None


def seconds(retry_after: str) -> float:
    """Return how long that header asks to wait, by a number of seconds or by a date."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except ValueError:
        return 0


def begun(url: str, held: int = 0) -> Any:
    """Return the streamed response of requests to asking for the file at `url` from byte `held` on."""
    import requests

    headers = {"Range": f"bytes={held}-"} if held else {}
    answer = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    answer.raise_for_status()
    return answer


def transfer(answer: Any, partial: Path, what: str) -> None:
    """Write to `partial` what it lacks of the file that `answer`, a streamed response of requests, begins."""
    total = int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
    held = size(partial)
    if held == total:
        return
    if total and 0 < held < total and answer.headers.get("Accept-Ranges") == "bytes":
        answer.close()
        answer = begun(answer.url, held)
    if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
        held = 0
    nothing: tuple[bytes, ...] = ()
    with (
        answer,
        partial.open("ab" if held else "wb") as file,
        progress(nothing, f"downloading {what}", total=total, initial=held, unit="B") as bar,
    ):
        bar.unit_scale, bar.unit_divisor = True, 1024
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
        os.fsync(file.fileno())


def size(partial: Path) -> int:
    """Return how many bytes have come so far."""
    return partial.stat().st_size if partial.exists() else 0
