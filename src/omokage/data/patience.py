"""Tries again what a network or a busy server made fail: a few times, after growing pauses."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from omokage.errors import Refused

PAUSES = (2.0, 10.0, 60.0)  # seconds before each further try; one that brought bytes begins them anew,
TRIES = 100  # but no more than this
LONGEST = 300.0  # seconds that are waited at most, whatever a server asks for

T = TypeVar("T")


class Failed(Exception):  # noqa: N818 (it says what happened to one try)
    """One try failed: `why`, and what the user can do about it.

    Another one may help, but not before `wait` seconds; unless it is `final`. `status` is HTTP's, if there was one.
    """

    def __init__(self, why: str, advice: str, *, status: int = 0, wait: float = 0, final: bool = False) -> None:
        super().__init__(why)
        self.why, self.advice, self.status, self.wait, self.final = why, advice, status, wait, final


class GaveUp(Refused):
    """No further try is made; `last` is why the last one failed."""

    def __init__(self, message: str, last: Failed) -> None:
        super().__init__(message)
        self.last = last


def patiently(what: str, once: Callable[[], T], brought: Callable[[], int] = lambda: 0) -> T:
    """Return what `once` returns, called again where it raises Failed; a line on stderr says each wait.

    A try counts as the first one again when more bytes are `brought` than ever before.
    Raises GaveUp, about `what`, after the last try.
    """
    failures, most = 0, brought()
    for tries in range(1, TRIES + 1):
        try:
            return once()
        except Failed as failed:
            failures = 1 if brought() > most else failures + 1
            most = max(most, brought())
            if failed.final:
                raise GaveUp(f"{what}: {failed.why}: {failed.advice}", failed) from None
            if failures > len(PAUSES) or tries == TRIES:
                raise GaveUp(f"{what}: {failed.why} (after {tries} tries): {failed.advice}", failed) from None
            pause = min(max(PAUSES[failures - 1], failed.wait), LONGEST)
            print(f"{what}: {failed.why}; trying again in {pause:g} s", file=sys.stderr, flush=True)
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")
