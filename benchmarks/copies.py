"""Measure how many planted copies of training faces the search for copies finds, and how many new faces it suspects.

    PYTHONPATH=src .venv/bin/python benchmarks/copies.py DATA NAME               in pixels
    PYTHONPATH=src .venv/bin/python benchmarks/copies.py DATA NAME --features    in pixels and in features

DATA is the data folder of a checkout in which `dvc repro reference` has run, and NAME describes its faces.
The last 500 held-out faces are taken out of the held-out set and serve as samples of a model that copies nothing. Then
changed training faces replace some or all of them. Prints one line per set of samples, and appends it to
benchmarks/results/copies.csv.
"""

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import DEVICE, append_row, read_splits
from PIL import Image
from torch import Tensor
from torch.nn import functional

from omokage.compute.seeding import make_generator
from omokage.evaluation.features.extractors import EXTRACTORS
from omokage.evaluation.features.reference import read_features
from omokage.evaluation.scores.copies import NO_COPY, search_copies

N, SEED = 500, 0
TWINS = 0.02  # share of the held-out faces that are replaced by near copies of training faces
SHARES = (0.01, 0.05, 0.25, 1.0)


def shift(faces: Tensor, pixels: int) -> Tensor:
    """Return the faces moved right and down by a number of pixels; their edge pixels are repeated."""
    padded = functional.pad(faces.float(), (pixels, 0, pixels, 0), mode="replicate")
    return padded[:, :, :-pixels, :-pixels].to(torch.uint8)


def compress(faces: Tensor, quality: int) -> Tensor:
    """Return the faces after JPEG compression."""
    compressed = []
    for face in faces:
        file = io.BytesIO()
        Image.fromarray(face.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        compressed.append(torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1))
    return torch.stack(compressed)


def add_noise(faces: Tensor, sigma: float) -> Tensor:
    """Return the faces with normal noise of this standard deviation in grey levels."""
    noise = torch.randn(faces.shape, generator=make_generator(SEED, "benchmark"))
    return (faces + sigma * noise).round().clamp(0, 255).to(torch.uint8)


def blend(faces: Tensor) -> Tensor:
    """Return 80 % of each face plus 20 % of another one, as a model may generate that overfits."""
    return (0.8 * faces + 0.2 * faces.roll(1, 0)).round().to(torch.uint8)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "exact": lambda faces: faces,
    "shifted by 1 pixel": partial(shift, pixels=1),
    "shifted by 2 pixels": partial(shift, pixels=2),
    "mirrored": lambda faces: faces.flip(3),
    "noise 5": partial(add_noise, sigma=5),
    "noise 15": partial(add_noise, sigma=15),
    "JPEG 60": partial(compress, quality=60),
    "brighter by 10": lambda faces: (faces.int() + 10).clamp(max=255).to(torch.uint8),
    "80 % of one face, 20 % of another": blend,
}


class Trial:
    """The faces of a data folder, split into training set, held-out set and new faces, with their features."""

    def __init__(self, data: Path, name: str, with_features: bool) -> None:
        self.name, self.with_features = name, with_features
        train, held_out = read_splits(data)
        self.faces = {"train": train, "held_out": held_out[:-N]}
        self.new = held_out[-N:]
        if with_features:
            self.extractor = EXTRACTORS["efficientnet-lite0"](DEVICE, data / "extractor_weights")
            self.reference = {
                split: read_features(data / f"reference/{split}.safetensors", self.extractor)[: len(faces)]
                for split, faces in self.faces.items()
            }
        else:
            self.reference = {split: self.compute_features(faces[:N]) for split, faces in self.faces.items()}
        self.new_features = self.compute_features(self.new)
        chosen = torch.randperm(len(train), generator=make_generator(SEED, "benchmark"))[:N]
        self.originals = train[chosen]

    def compute_features(self, images: Tensor) -> Tensor:
        """Return the features of images, or equal ones, which no search can use, if features are not searched."""
        return self.extractor.compute_features(images) if self.with_features else torch.zeros(len(images), 1)

    def add_twins(self) -> None:
        """Replace a share of the held-out faces by near copies of training faces."""
        held_out, features = self.faces["held_out"].clone(), self.reference["held_out"].clone()
        twins = torch.arange(0, len(features), round(1 / TWINS))
        held_out[twins] = add_noise(self.faces["train"][: len(twins)], 5)
        features[twins] = self.compute_features(held_out[twins])
        self.faces, self.reference = self.faces | {"held_out": held_out}, self.reference | {"held_out": features}

    def measure(self, planted: str, share: float, copies: Tensor, features: Tensor) -> None:
        """Replace a share of the new faces by copies, uint8 [N, 3, h, w], and record which samples are suspects."""
        count = round(share * N)
        samples = torch.cat([copies[:count], self.new[count:]])
        rows = torch.cat([features[:count], self.new_features[count:]])
        search = search_copies(samples, rows, self.faces, self.reference, DEVICE)
        suspects = torch.tensor([kind != NO_COPY for kind in search.kinds], dtype=torch.float64)
        row = {
            **{
                "data": self.name,
                "features": self.with_features,
                "planted": planted,
                "share": share,
                "n": N,
                "seed": SEED,
            },
            "detected": round(float(suspects[:count].mean()), 4) if count else "",
            "false": round(float(suspects[count:].mean()), 4) if count < N else "",
            "kind": max(set(search.kinds[:count]), key=search.kinds[:count].count) if count else "",
            **{key: round(search.scores[key], 4) for key in ("copied", "copied_floor", "close")},
        }
        print("\t".join(map(str, row.values())), flush=True)
        append_row("copies", row)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many planted copies are found.")
    parser.add_argument("data", type=Path, help="data folder of a checkout in which `dvc repro reference` has run")
    parser.add_argument("name", help="name of the faces in the table")
    parser.add_argument("--features", action="store_true", help="also search in features")
    args = parser.parse_args()
    trial = Trial(args.data, args.name, args.features)
    trial.measure("none", 0.0, trial.new, trial.new_features)
    sets = {name: change(trial.originals) for name, change in CHANGES.items()}
    features = {}
    for name, copies in sets.items():
        features[name] = trial.compute_features(copies)
        for share in SHARES if name == "exact" else SHARES[1::2]:
            trial.measure(name, share, copies, features[name])
    trial.add_twins()
    trial.measure("none; held-out set with 2 % twins", 0.0, trial.new, trial.new_features)
    for name in ("noise 5", "noise 15"):
        trial.measure(f"{name}; held-out set with 2 % twins", 1.0, sets[name], features[name])


if __name__ == "__main__":
    main()
