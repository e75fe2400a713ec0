"""Measure how fast an epoch of training batches loads: from our shards, and with torchvision from JPEG files.

    PYTHONPATH=src .venv/bin/python benchmarks/data_loading.py DATA [--batch 128] [--rounds 3]

DATA is the data folder of a checkout in which `dvc repro faces` has run. All loaders yield float batches of the same
faces, shuffled and mirrored at random. Reading the shards, which happens once per training, and writing and listing the
JPEG files (quality 92) are not part of the measured time. Rows go to results/loading.csv.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from common import append_row, load_preset
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from torchvision.transforms.functional import to_pil_image

from omokage.data import shards
from omokage.training.batches import Batches
from omokage.training.setup import make_configs

Epoch = Callable[[], Iterator[Tensor]]


def load_shards(folder: Path, batch: int) -> Epoch:
    """Return a function that yields an epoch as `train` loads it. The whitening is computed from the first batch."""
    faces = shards.read_faces(folder, "train")
    p = load_preset("folder-32", {"batch_size": batch, "flip": True})
    batches = Batches(faces, *make_configs(p, faces[:batch]))
    return lambda: map(batches.get_faces, range(len(faces) // batch))


def load_files(folder: Path, batch: int, workers: int) -> Epoch:
    """Return a function that yields an epoch from torchvision's ImageFolder and a DataLoader."""
    transforms = [v2.ToImage(), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)]
    images = ImageFolder(str(folder), v2.Compose([*transforms, v2.Normalize([0.5] * 3, [0.5] * 3)]))
    loader = DataLoader(images, batch, shuffle=True, drop_last=True, num_workers=workers)
    return lambda: (faces for faces, _ in loader)


def main() -> None:
    """Time whole epochs, taking turns, and append a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--batch", type=int, default=128, help="images per batch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each loader (default: %(default)s)")
    args = parser.parse_args()
    faces = shards.read_faces(args.data / "faces", "train")
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "faces"
        images.mkdir()
        for number, face in enumerate(faces):
            to_pil_image(face).save(images / f"{number:06d}.jpg", quality=92)
        loaders = {
            "shards": load_shards(args.data / "faces", args.batch),
            "ImageFolder, in the process": load_files(Path(folder), args.batch, 0),
            "ImageFolder, 2 workers": load_files(Path(folder), args.batch, 2),
        }
        for number in range(args.rounds):
            for name, epoch in loaders.items():
                start = time.monotonic()
                count = sum(len(batch) for batch in epoch())
                seconds = time.monotonic() - start
                row = {"way": name, "side": faces.shape[-1], "pictures": count, "round": number}
                append_row(
                    "loading", {**row, "seconds": round(seconds, 2), "pictures_a_second": round(count / seconds)}
                )


if __name__ == "__main__":
    main()
