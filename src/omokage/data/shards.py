"""Tensor shards: faces as a few large safetensors files, in a folder, in a fixed order."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

FACES_PER_SHARD = 8192


def write(folder: Path, split: str, faces: Iterable[Tensor]) -> int:
    """Write faces, uint8 [3, h, w] each, as `<split>-00000.safetensors` and so on; return how many there were."""
    folder.mkdir(parents=True, exist_ok=True)
    shard: list[Tensor] = []
    written = 0

    def flush() -> None:
        nonlocal written
        if shard:
            number = written // FACES_PER_SHARD
            save_file({"faces": torch.stack(shard)}, folder / f"{split}-{number:05d}.safetensors")
            written += len(shard)
            shard.clear()

    for face in faces:
        shard.append(face)
        if len(shard) == FACES_PER_SHARD:
            flush()
    flush()
    return written


def each(folder: Path, split: str) -> Iterator[Tensor]:
    """Yield the shards of `split` (train or held_out) in order: uint8 [n, 3, h, w]."""
    for path in sorted(folder.glob(f"{split}-*.safetensors")):
        yield load_file(path)["faces"]


def read(folder: Path, split: str) -> Tensor:
    """Return all faces of `split` (train or held_out) in order: uint8 [n, 3, h, w]."""
    return torch.cat(list(each(folder, split)))
