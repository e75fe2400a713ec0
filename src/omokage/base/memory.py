"""Turn errors about exhausted memory into one line that says what to lower."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from omokage.base.errors import UserError

# How PyTorch, its libraries and C++ word it in a RuntimeError.
WORDS = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|bad_alloc|ALLOC_FAILED|not enough memory", re.I
)
# The size in the messages of PyTorch and NumPy, such as "tried to allocate 20.00 GiB".
SIZE = re.compile(r"(?:tried|unable) to allocate ([\d.]+) ?(bytes|[KMGTP]iB)", re.I)
POOL = "BrokenProcessPool"  # a worker process ended without an exception


def describe_out_of_memory(error: BaseException) -> str | None:
    """Return in words which memory ran out, or None for any other error.

    Classes of PyTorch are recognised by name, since stages that do not compute with it must not load it.
    """
    names, text = {kind.__name__ for kind in type(error).__mro__}, str(error)
    if POOL in names:
        return "a worker process was killed, as the system does when memory runs out"
    is_memory = (
        isinstance(error, MemoryError)
        or "OutOfMemoryError" in names
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and WORDS.search(text))
    )
    if not is_memory:
        return None
    device = "the GPU" if re.search(r"\b(cuda|cublas|cudnn|hip|mps)", text, re.I) else "this machine"
    size = SIZE.search(text)
    return f"out of memory on {device}" + (f" (allocating {_format_size(*size.groups())})" if size else "")


def _format_size(number: str, unit: str) -> str:
    if unit.lower() != "bytes":
        return f"{number} {unit}"
    return f"{int(number) / 2**30:.1f} GiB" if int(number) >= 2**30 else f"{int(number) / 2**20:.1f} MiB"


@contextmanager
def explain_out_of_memory(remedy: str, work: str = "") -> Iterator[None]:
    """Raise UserError with the `remedy` if memory runs out in the block. `work` says what was computed there."""
    try:
        yield
    except Exception as error:
        if problem := describe_out_of_memory(error):
            raise UserError(f"{problem}{f' {work}' if work else ''}: {remedy}") from error
        raise
