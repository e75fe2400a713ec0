"""An epoch of training batches: from the shards, and by torchvision's ImageFolder and DataLoader from the same faces.

    python benchmarks/loading.py DATA [--batch 128] [--rounds 3]

DATA is the data folder of a checkout in which `dvc repro faces` has run. Both give float batches of the same faces,
shuffled and mirrored at random. Outside the time that is taken the shards are read, once a training, and the JPEG files
(quality 92) are written and listed. Rows go to results/loading.csv.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from bench import ROOT, note, ours
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from torchvision.transforms.functional import to_pil_image

from omokage.data import shards
from omokage.params import whole
from omokage.training.batches import Batches


def from_shards(folder: Path, batch: int) -> Callable[[], Iterator[Tensor]]:
    """Return what yields an epoch as `train` sees it; what whitens the faces is taken from a few."""
    faces = shards.read(folder, "train")
    values = whole.load(ROOT / "workflow" / "presets" / "folder-32.yaml")
    batches = Batches(faces, *ours(whole.check({**values, "batch_size": batch, "flip": True}), faces[:batch]))
    return lambda: map(batches.faces_at, range(len(faces) // batch))


def from_files(folder: Path, batch: int, workers: int) -> Callable[[], Iterator[Tensor]]:
    """Return what yields an epoch by torchvision's own means."""
    scaled = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
    pictures = ImageFolder(str(folder), v2.Compose([v2.ToImage(), v2.RandomHorizontalFlip(), *scaled]))
    loader = DataLoader(pictures, batch, shuffle=True, drop_last=True, num_workers=workers)
    return lambda: (faces for faces, _ in loader)


def main() -> None:
    """Time whole epochs, in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    faces = shards.read(chosen.data / "faces", "train")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "faces"
        place.mkdir()
        for number, face in enumerate(faces):
            to_pil_image(face).save(place / f"{number:06d}.jpg", quality=92)
        ways = {
            "shards": from_shards(chosen.data / "faces", chosen.batch),
            "ImageFolder, in the process": from_files(Path(folder), chosen.batch, 0),
            "ImageFolder, 2 workers": from_files(Path(folder), chosen.batch, 2),
        }
        for number in range(chosen.rounds):
            for way, epoch in ways.items():
                began = time.monotonic()
                seen = sum(len(batch) for batch in epoch())
                seconds = time.monotonic() - began
                row = {"way": way, "side": faces.shape[-1], "pictures": seen, "round": number}
                note("loading", {**row, "seconds": round(seconds, 2), "pictures_a_second": round(seen / seconds)})


if __name__ == "__main__":
    main()
