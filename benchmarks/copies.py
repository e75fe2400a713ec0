"""Measure how many planted copies of training faces the search for copies finds, and how many new faces it suspects.

    PYTHONPATH=src .venv/bin/python benchmarks/copies.py DATA NAME

DATA is the data folder of a checkout in which `dvc repro reference` has run, and NAME describes its faces.
The last 500 held-out faces are taken out of the held-out set and serve as samples of a model that copies nothing. Then
changed training faces replace some or all of them. Prints two lines per set of samples, one for the searches in pixels
and one for those in pixels and in features, and appends them to benchmarks/results/copies.csv.
"""

import argparse
import io
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import DEVICE, append_row, read_splits
from PIL import Image
from torch import Tensor
from torch.nn import functional

from omokage.compute.seeding import make_generator
from omokage.evaluation.features.extractors import EXTRACTORS
from omokage.evaluation.features.reference import read_features
from omokage.evaluation.scores.copies import NO_COPY, Neighbours, find_neighbours, judge_neighbours

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

    def __init__(self, data: Path, name: str) -> None:
        self.name = name
        train, held_out = read_splits(data)
        self.faces = {"train": train, "held_out": held_out[:-N]}
        self.new = held_out[-N:]
        self.extractor = EXTRACTORS["efficientnet-lite0"](DEVICE, data / "extractor_weights")
        self.reference = {
            split: read_features(data / f"reference/{split}.safetensors", self.extractor)[: len(faces)]
            for split, faces in self.faces.items()
        }
        chosen = torch.randperm(len(train), generator=make_generator(SEED, "benchmark"))[:N]
        self.originals = train[chosen]

    def find(self, images: Tensor, features: Tensor) -> Neighbours:
        """Return the neighbours of images with these features."""
        return find_neighbours(images, features, self.faces, self.reference, DEVICE)

    def find_control(self) -> Neighbours:
        """Return the neighbours of the held-out faces with features, which set the limits."""
        features = self.reference["held_out"]
        held_out = self.faces["held_out"][: len(features)]
        return find_neighbours(held_out, features, self.faces, self.reference, DEVICE, are_held_out=True)

    def add_twins(self) -> None:
        """Replace a share of the held-out faces by near copies of training faces."""
        held_out, features = self.faces["held_out"].clone(), self.reference["held_out"].clone()
        twins = torch.arange(0, len(features), round(1 / TWINS))
        held_out[twins] = add_noise(self.faces["train"][: len(twins)], 5)
        features[twins] = self.extractor.compute_features(held_out[twins])
        self.faces, self.reference = self.faces | {"held_out": held_out}, self.reference | {"held_out": features}

    def record(self, planted: str, share: float, samples: Neighbours, control: Neighbours) -> None:
        """Record how many of the samples are suspects. The first samples, a share of them all, are copies."""
        count = round(share * N)
        for with_features in (False, True):
            searched = [found if with_features else ignore_features(found) for found in (samples, control)]
            kinds, scores = judge_neighbours(*searched)
            suspects = torch.tensor([kind != NO_COPY for kind in kinds], dtype=torch.float64)
            row = {
                "data": self.name,
                "features": with_features,
                "planted": planted,
                "share": share,
                "n": N,
                "seed": SEED,
                "detected": round(float(suspects[:count].mean()), 4) if count else "",
                "false": round(float(suspects[count:].mean()), 4) if count < N else "",
                "kind": max(set(kinds[:count]), key=kinds[:count].count) if count else "",
                **{key: round(scores[key], 4) for key in ("copied", "copied_floor", "close")},
            }
            print("\t".join(map(str, row.values())), flush=True)
            append_row("copies", row)


def join(first: Any, second: Any, count: int) -> Any:
    """Return the first `count` rows of a result, then the rest of another one: tensors, or dataclasses of them."""
    if isinstance(first, Tensor):
        return torch.cat([first[:count], second[count:]])
    names = [field.name for field in fields(first)]
    return type(first)(**{name: join(getattr(first, name), getattr(second, name), count) for name in names})


def ignore_features(found: Neighbours) -> Neighbours:
    """Return neighbours whose distances in features are all equal, so that no search can use them."""
    return replace(found, feature_held_out=found.feature_train)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many planted copies are found.")
    parser.add_argument("data", type=Path, help="data folder of a checkout in which `dvc repro reference` has run")
    parser.add_argument("name", help="name of the faces in the table")
    args = parser.parse_args()
    trial = Trial(args.data, args.name)
    features = {"none": trial.extractor.compute_features(trial.new)}
    new, control = trial.find(trial.new, features["none"]), trial.find_control()
    trial.record("none", 0.0, new, control)
    sets = {name: change(trial.originals) for name, change in CHANGES.items()}
    for name, copies in sets.items():
        features[name] = trial.extractor.compute_features(copies)
        found = trial.find(copies, features[name])
        for share in SHARES if name == "exact" else SHARES[1::2]:
            trial.record(name, share, join(found, new, round(share * N)), control)
    trial.add_twins()
    control, twins = trial.find_control(), "held-out set with 2 % twins"
    trial.record(f"none; {twins}", 0.0, trial.find(trial.new, features["none"]), control)
    for name in ("noise 5", "noise 15"):
        trial.record(f"{name}; {twins}", 1.0, trial.find(sets[name], features[name]), control)


if __name__ == "__main__":
    main()
