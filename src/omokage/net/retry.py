"""Retry failed network requests a few times, with growing pauses between the attempts."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from omokage.base.errors import UserError

# Seconds to wait after the first, second and third failure in a row without any data transferred.
PAUSES: tuple[float, ...] = (2.0, 10.0, 60.0)
MAX_ATTEMPTS = 100  # in total, including those that transferred data
MAX_PAUSE = 300.0  # seconds, even if the server asks for more

T = TypeVar("T")


class AttemptFailed(Exception):  # noqa: N818 (named after the event)
    """One attempt of a network request failed.

    `reason` says why, and `advice` what the user can do. `status` is the HTTP status, or 0 if there was no response. If
    `is_final`, another attempt would fail as well. Otherwise another attempt may succeed after at least `wait` seconds.
    """

    def __init__(self, reason: str, advice: str, *, status: int = 0, wait: float = 0, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.advice, self.status, self.wait, self.is_final = reason, advice, status, wait, is_final


class RetriesExhausted(UserError):  # noqa: N818 (named after the event)
    """A network request failed, and no further attempt is made. `last` is the failure of the last attempt."""

    def __init__(self, message: str, last: AttemptFailed) -> None:
        super().__init__(message)
        self.last = last


def retry(description: str, attempt: Callable[[], T], count_bytes: Callable[[], int] = lambda: 0) -> T:
    """Call `attempt` until it succeeds, and return its result. After each AttemptFailed, wait and call it again.

    `description` names the request in messages. Each pause is announced on stderr. `count_bytes` returns the number of
    bytes transferred so far; when this number has grown, the pauses start again with the first of PAUSES. Raises
    RetriesExhausted when the pauses are used up, after MAX_ATTEMPTS attempts, or when a failure is final.
    """
    failures, max_bytes = 0, count_bytes()
    for attempts in range(1, MAX_ATTEMPTS + 1):
        try:
            return attempt()
        except AttemptFailed as failure:
            failures = 1 if count_bytes() > max_bytes else failures + 1
            max_bytes = max(max_bytes, count_bytes())
            if failure.is_final:
                raise RetriesExhausted(f"{description}: {failure.reason}: {failure.advice}", failure) from None
            if failures > len(PAUSES) or attempts == MAX_ATTEMPTS:
                message = f"{description}: {failure.reason} (after {attempts} attempts): {failure.advice}"
                raise RetriesExhausted(message, failure) from None
            pause = min(max(PAUSES[failures - 1], failure.wait), MAX_PAUSE)
            print(f"{description}: {failure.reason}; retrying in {pause:g} s", file=sys.stderr, flush=True)
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")
