"""Checkpoints of an unfinished training: written whole or not at all, the last two kept, each with its own hash."""

import io
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

KEEP = 2
HASH = sha256().digest_size


def save(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain data) as the checkpoint of `step`, then remove all but the last two."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{step:09d}.ckpt"
    partial = target.with_suffix(".partial")
    content = io.BytesIO()
    torch.save(state, content)
    with partial.open("wb") as file:
        file.write(sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
    for old in _newest_first(folder)[KEEP:]:
        old.unlink()


def load(folder: Path) -> dict[str, Any] | None:
    """Return the newest checkpoint that is whole, or None; a damaged one is named and passed over."""
    for path in _newest_first(folder):
        content = path.read_bytes()
        if sha256(content[HASH:]).digest() == content[:HASH]:
            state: dict[str, Any] = torch.load(io.BytesIO(content[HASH:]), map_location="cpu", weights_only=True)
            return state
        print(f"omokage: checkpoint {path.name} is damaged and passed over", file=sys.stderr)
        # Another process of the same training may have been faster.
        path.unlink(missing_ok=True)
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ckpt"), reverse=True)
