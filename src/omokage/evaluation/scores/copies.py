"""Search for copies of training faces among the samples, and name the kind of each suspected copy.

An absolute limit on the aligned distance finds copies whatever the data. It would accuse every model if real faces were
this much alike, so held-out faces are judged by the same limit: their share is the floor. A relative limit finds copies
that differ more. It compares the distances to the training set and to the held-out set, in pixels and in features, and
its limit comes from the held-out faces. A few near-duplicates across the split do not change that limit, since it
rests on quartiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from omokage.evaluation.features.reference import choose_representatives
from omokage.evaluation.scores.alignment import MAX_SHIFT
from omokage.evaluation.scores.neighbours import (
    AlignedNeighbours,
    NearestNeighbours,
    compute_distance_ratios,
    find_nearest_in_features,
    find_nearest_in_pixels,
)

# Limits of the distances in grey levels (0 to 255), measured by benchmarks/copies.py.
EXACT_LIMIT = 3.0  # without alignment: no visible difference
NEAR_LIMIT = 5.5  # after alignment, smoothed
# Distance ratios this many interquartile ranges below the lower quartile are outliers (Tukey 1977, "far out").
FENCE = 3.0
# By definition, this share of the held-out faces is close to the training set.
CHANCE = 0.01
# The searches, by the kind of suspected copies that each finds. The first fitting kind counts. scores.json has this
# table for the figures and the report: a short name, what is found, and whether the limit is absolute or relative.
SEARCHES = {
    "exact": {"name": "exact", "finds": "exact, without a visible difference", "limit": "absolute"},
    "near": {"name": "near", "finds": "nearly equal", "limit": "absolute"},
    "shifted": {"name": "shifted", "finds": f"shifted by up to {MAX_SHIFT} pixels", "limit": "absolute"},
    "mirrored": {"name": "mirrored", "finds": "mirrored", "limit": "absolute"},
    "relative": {
        "name": "close in pixels",
        "finds": "far closer to a training face than held-out faces are, in pixels",
        "limit": "relative",
    },
    "features": {
        "name": "close in features",
        "finds": "far closer to a training face than held-out faces are, in features",
        "limit": "relative",
    },
}
KINDS = tuple(SEARCHES)
NO_COPY = "none"


@dataclass(frozen=True)
class Neighbours:
    """The nearest training faces and held-out faces to each of n images, in pixels and in features."""

    train: AlignedNeighbours
    held_out: AlignedNeighbours
    feature_train: NearestNeighbours
    feature_held_out: NearestNeighbours

    def compute_ratios(self) -> dict[str, Tensor]:
        """Return the distance ratios [n] by the kind of suspects that they find."""
        return {
            "relative": compute_distance_ratios(self.train, self.held_out),
            "features": compute_distance_ratios(self.feature_train, self.feature_held_out),
        }


@dataclass(frozen=True)
class CopySearch:
    """The result of a search for copies: the kind of each sample (one of KINDS, or NO_COPY), neighbours and scores."""

    kinds: list[str]
    neighbours: Neighbours
    scores: dict[str, Any]


def search_copies(
    samples: Tensor,
    features: Tensor,
    faces: Mapping[str, Tensor],
    reference: Mapping[str, Tensor],
    device: torch.device,
) -> CopySearch:
    """Search for copies of training faces among samples, uint8 [n, 3, h, w], with the `features` [n, d].

    `faces` has the faces of each split, uint8 [m, 3, h, w], and `reference` the features of some of them. Pixels are
    searched in all faces, features only in the reference. The held-out faces with features are judged like samples.

    The scores are `copies` and `copies_floor`, the shares of suspected copies by kind among samples and among held-out
    faces; `copied` and `copied_floor`, their sums; `close`, the share of samples that are closer to the training set
    than 99 % of the held-out faces, and `close_floor`, the share of held-out faces by that definition; `copy_ratio` and
    `copy_ratio_floor`, the median distance ratios in pixels; `closest`, the distances in pixels of the sample that is
    closest to a training face from its nearest face of each split; `searches`, what each search finds; and `searched`,
    the number of faces in each search.
    """
    nearest = find_neighbours(samples, features, faces, reference, device)
    held_out = faces["held_out"][: len(reference["held_out"])]
    control = find_neighbours(held_out, reference["held_out"], faces, reference, device, are_held_out=True)
    kinds, scores = judge_neighbours(nearest, control)
    searched = {split: len(faces[split]) for split in faces}
    searched |= {f"feature_{split}": min(map(len, reference.values())) for split in faces}
    return CopySearch(kinds, nearest, {**scores, "searches": SEARCHES, "searched": searched})


def judge_neighbours(nearest: Neighbours, control: Neighbours) -> tuple[list[str], dict[str, Any]]:
    """Return the kind of each sample and all scores but `searches` and `searched`; see `search_copies`.

    `nearest` has the neighbours of the samples, and `control` those of held-out faces, which set the limits.
    """
    ratios, control_ratios = nearest.compute_ratios(), control.compute_ratios()
    limits = {kind: find_outlier_limit(values) for kind, values in control_ratios.items()}
    kinds = name_kinds(nearest.train, ratios, limits)
    closest = int(nearest.train.distance.argmin())
    shares, floors = (compute_shares(names) for names in (kinds, name_kinds(control.train, control_ratios, limits)))
    return kinds, {
        "copied": sum(shares.values()),
        "copied_floor": sum(floors.values()),
        "copies": shares,
        "copies_floor": floors,
        "close": compute_close_share(ratios["relative"], control_ratios["relative"], limits["relative"]),
        "close_floor": CHANCE,
        "closest": {split: float(getattr(nearest, split).distance[closest]) for split in ("train", "held_out")},
        "copy_ratio": float(ratios["relative"].median()),
        "copy_ratio_floor": float(control_ratios["relative"].median()),
    }


def find_neighbours(
    images: Tensor,
    features: Tensor,
    faces: Mapping[str, Tensor],
    reference: Mapping[str, Tensor],
    device: torch.device,
    are_held_out: bool = False,
) -> Neighbours:
    """Return the neighbours of images, uint8 [n, 3, h, w], with the `features` [n, d]; see `search_copies`.

    With `are_held_out`, the images are the first held-out faces, and no face is its own neighbour.
    """
    in_pixels, in_features = {}, {}
    n = min(map(len, reference.values()))
    for split, rows in reference.items():
        include_self = not (are_held_out and split == "held_out")
        in_pixels[split] = find_nearest_in_pixels(images, faces[split], device, include_self)
        # The larger part of the reference is reduced to the size of the smaller one.
        searched = choose_representatives(split, len(rows), n)
        nearest = find_nearest_in_features(features, rows[searched], include_self)
        indices = choose_representatives(split, len(faces[split]), len(rows))[searched]
        in_features[split] = NearestNeighbours(indices[nearest.index], nearest.distance)
    return Neighbours(in_pixels["train"], in_pixels["held_out"], in_features["train"], in_features["held_out"])


def find_outlier_limit(ratios: Tensor) -> float:
    """Return the distance ratio below which an image is an outlier among the held-out faces with these ratios [m]."""
    low, high = torch.quantile(ratios.log(), torch.tensor([0.25, 0.75], dtype=ratios.dtype)).tolist()
    return float(torch.tensor(low - FENCE * (high - low)).exp())


def name_kinds(train: AlignedNeighbours, ratios: Mapping[str, Tensor], limits: Mapping[str, float]) -> list[str]:
    """Return the kind of each of n images: one of KINDS, or NO_COPY.

    `train` has their nearest training faces in pixels. An image is a suspect by one of the `ratios` [n] if this is
    below its limit.
    """
    alignment = train.alignment
    is_moved = (alignment.right != 0) | (alignment.down != 0)
    is_suspect = {
        "exact": alignment.difference <= EXACT_LIMIT,
        "near": (train.distance <= NEAR_LIMIT) & ~alignment.mirrored & ~is_moved,
        "shifted": (train.distance <= NEAR_LIMIT) & ~alignment.mirrored,
        "mirrored": train.distance <= NEAR_LIMIT,
    } | {kind: ratios[kind] < limits[kind] for kind in ratios}
    kinds = [NO_COPY] * len(train.index)
    for kind in reversed(KINDS):
        for row in is_suspect[kind].nonzero()[:, 0].tolist():
            kinds[row] = kind
    return kinds


def compute_shares(kinds: list[str]) -> dict[str, float]:
    """Return the share of the images of each kind of suspected copies."""
    return {kind: kinds.count(kind) / len(kinds) for kind in KINDS}


def compute_close_share(samples: Tensor, held_out: Tensor, outlier_limit: float) -> float:
    """Return the share of samples that are closer to the training set than 99 % of the held-out faces.

    `samples` [n] and `held_out` [m] are the distance ratios of the samples and of the held-out faces. Held-out faces
    with a ratio below `outlier_limit` have near-duplicates in the training set, and are left out. A model that copies
    nothing scores about CHANCE, or about 1 / (m + 1) if there are fewer than 1 / CHANCE held-out faces.
    """
    limit = torch.quantile(held_out[held_out >= outlier_limit], CHANCE, interpolation="lower")
    return float((samples < limit).double().mean())
