"""Write and read face shards: the faces of a split in a few large safetensors files, in a fixed order."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

SPLITS = ("train", "held_out")
FACES_PER_SHARD = 8192


def write_faces(folder: Path, split: str, faces: Iterable[Tensor]) -> None:
    """Write the faces of a split, uint8 [3, h, w] each, to shards in `folder`.

    The shards are named SPLIT-00000.safetensors and so on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shard: list[Tensor] = []
    count = 0

    def flush() -> None:
        nonlocal count
        if shard:
            number = count // FACES_PER_SHARD
            save_file({"faces": torch.stack(shard)}, folder / f"{split}-{number:05d}.safetensors")
            count += len(shard)
            shard.clear()

    for face in faces:
        shard.append(face)
        if len(shard) == FACES_PER_SHARD:
            flush()
    flush()


def iterate_shards(folder: Path, split: str) -> Iterator[Tensor]:
    """Yield the faces of `split` (train or held_out) in order, one shard at a time: uint8 [n, 3, h, w]."""
    for path in sorted(folder.glob(f"{split}-*.safetensors")):
        yield load_file(path)["faces"]


def read_faces(folder: Path, split: str) -> Tensor:
    """Return all faces of `split` (train or held_out) in order: uint8 [n, 3, h, w]."""
    return torch.cat(list(iterate_shards(folder, split)))
