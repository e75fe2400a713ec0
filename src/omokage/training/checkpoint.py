"""Checkpoints of an unfinished training: written whole or not at all, the last two kept."""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import torch

KEEP = 2


def save(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain data) as the checkpoint of `step`, then remove all but the last two."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{step:09d}.ckpt"
    partial = target.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
    for old in _newest_first(folder)[KEEP:]:
        old.unlink()


def load(folder: Path) -> dict[str, Any] | None:
    """Return the newest checkpoint that can be read, or None; a damaged one is named and passed over."""
    for path in _newest_first(folder):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            print(f"omokage: checkpoint {path.name} is damaged and passed over ({error})", file=sys.stderr)
            path.unlink(missing_ok=True)
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ckpt"), reverse=True)
