"""Save and load the checkpoints of an unfinished training run.

A checkpoint is written atomically and starts with a hash of its content. The newest two are kept.
"""

import io
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from omokage.base.files import PARTIAL, write_atomically

MAX_CHECKPOINTS = 2
HASH_BYTES = sha256().digest_size


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain data) as the checkpoint of `step`, then remove all but the newest two."""
    content = io.BytesIO()
    torch.save(state, content)
    with write_atomically(folder / f"{step:09d}.ckpt") as partial, partial.open("wb") as file:
        file.write(sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    # Only one process writes to this folder at a time, so unfinished files are those of a killed run.
    for path in [*_list_newest_first(folder)[MAX_CHECKPOINTS:], *folder.glob(f"{PARTIAL}*")]:
        path.unlink()


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the state in the newest intact checkpoint, or None if there is no intact checkpoint.

    Damaged checkpoints are reported on stderr and removed.
    """
    for path in _list_newest_first(folder):
        content = path.read_bytes()
        if sha256(content[HASH_BYTES:]).digest() == content[:HASH_BYTES]:
            state: dict[str, Any] = torch.load(io.BytesIO(content[HASH_BYTES:]), map_location="cpu", weights_only=True)
            return state
        print(f"omokage: checkpoint {path.name} is damaged: removing it and trying the one before", file=sys.stderr)
        # Another process of the same training run may have removed the checkpoint already.
        path.unlink(missing_ok=True)
    return None


def _list_newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.ckpt"), reverse=True)
