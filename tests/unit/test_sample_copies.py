"""The search for copies: planted copies are found and named, and new faces are not suspected."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from support.copies import add_noise, make_faces, shift
from support.training import CPU
from torch import Tensor
from torch.nn import functional

from omokage.evaluation.scores.copies import (
    KINDS,
    NO_COPY,
    CopySearch,
    compute_close_share,
    find_outlier_limit,
    search_copies,
)

pytestmark = pytest.mark.usefixtures("use_one_thread")

TRAIN, HELD_OUT, N = 300, 120, 120
TWINS = 3
# Each of the samples and held-out faces is as likely to be the closest. If 12 samples precede the second held-out face,
# 12 of the first 13 are samples: a chance of 14 in 8,192.
CLOSE_BY_CHANCE = 11 / N
FACES = {"train": make_faces(TRAIN, 0), "held_out": make_faces(HELD_OUT, 1)}
NEW = make_faces(N, 2)


def compute_features(images: Tensor) -> Tensor:
    """Return simple features: the mean colours of 4 x 4 fields."""
    return functional.adaptive_avg_pool2d(images.float(), 4).flatten(1)


def search(samples: Tensor, faces: Mapping[str, Tensor] = FACES) -> CopySearch:
    reference = {split: compute_features(images[:HELD_OUT]) for split, images in faces.items()}
    return search_copies(samples, compute_features(samples), faces, reference, CPU)


def count_kinds(kinds: list[str]) -> dict[str, int]:
    return {kind: kinds.count(kind) for kind in (*KINDS, NO_COPY) if kind in kinds}


CHANGES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "exact": (lambda faces: faces, "exact"),
    "shifted": (lambda faces: shift(faces, 1, 1), "shifted"),
    "mirrored": (lambda faces: faces.flip(3), "mirrored"),
    "noise 5": (lambda faces: add_noise(faces, 5), "near"),
    "noise 15": (lambda faces: add_noise(faces, 15), "near"),
    "brighter": (lambda faces: (faces.int() + 12).clamp(max=255).to(torch.uint8), "near"),
}


@pytest.mark.parametrize("count", [2, N])
@pytest.mark.parametrize("change", list(CHANGES))
def test_planted_copies_are_found_and_named_whatever_their_share(change: str, count: int) -> None:
    apply, kind = CHANGES[change]
    found = search(torch.cat([apply(FACES["train"][100 : 100 + count]), NEW[count:]]))
    assert found.kinds[:count].count(kind) >= 0.95 * count
    assert count - found.kinds[:count].count(NO_COPY) >= 0.95 * count
    assert found.kinds[count:].count(NO_COPY) >= 0.99 * (N - count)
    assert found.scores["copies"][kind] == found.kinds.count(kind) / N
    assert found.scores["copied"] == pytest.approx(count / N, abs=0.05 * count / N + 0.01)
    rows = [row for row in range(count) if found.kinds[row] == kind]
    assert found.neighbours.train.index[rows].tolist() == [100 + row for row in rows]


def test_new_faces_are_not_suspected() -> None:
    found = search(NEW)
    scores, neighbours = found.scores, found.neighbours
    assert scores["copied"] <= 0.01 and scores["copied_floor"] <= 0.01
    assert scores["close"] <= CLOSE_BY_CHANCE
    assert scores["copy_ratio"] == pytest.approx(scores["copy_ratio_floor"], rel=0.05)
    row = int(neighbours.train.distance.argmin())
    assert scores["closest"] == {
        "train": float(neighbours.train.distance.min()),
        "held_out": float(neighbours.held_out.distance[row]),
    }
    assert scores["searched"] == {
        "train": TRAIN,
        "held_out": HELD_OUT,
        "feature_train": HELD_OUT,
        "feature_held_out": HELD_OUT,
    }


def plant_twins(sigma: float) -> dict[str, Tensor]:
    """Return the faces with some held-out faces replaced by a training face with noise."""
    held_out = FACES["held_out"].clone()
    held_out[:TWINS] = add_noise(FACES["train"][:TWINS], sigma)
    return {**FACES, "held_out": held_out}


@pytest.mark.parametrize("sigma", [5.0, 30.0])
def test_twins_across_the_split_hide_no_copies_and_cause_no_suspicion(sigma: float) -> None:
    faces = plant_twins(sigma)
    assert search(NEW, faces).scores["copied"] <= 0.01
    for copies in (FACES["train"][150 : 150 + N], add_noise(FACES["train"][150 : 150 + N], 15)):
        scores = search(copies, faces).scores
        assert scores["copied"] >= 0.99 and scores["close"] >= 0.99
        # The twins are the floor: so many copies occur among real faces.
        assert scores["copied_floor"] == pytest.approx(TWINS / HELD_OUT, abs=0.006)


def test_faces_that_are_all_alike_have_a_floor_as_high_as_the_share_of_suspects() -> None:
    """Faces of few parts: an absolute limit suspects samples of a perfect model, and as many held-out faces."""
    parts = make_faces(40, 7)

    def draw(count: int, seed: int) -> Tensor:
        chosen = torch.randint(40, (count,), generator=torch.Generator().manual_seed(seed))
        return add_noise(parts[chosen], 2)

    faces = {"train": draw(TRAIN, 1), "held_out": draw(HELD_OUT, 2)}
    scores = search(draw(N, 3), faces).scores
    assert scores["copied"] > 0.9 and scores["copied_floor"] == pytest.approx(scores["copied"], abs=0.05)
    assert scores["close"] <= CLOSE_BY_CHANCE


def test_blends_of_training_faces_are_suspects_by_the_relative_limits() -> None:
    train = FACES["train"][:N]
    found = search((0.75 * train + 0.25 * train.roll(1, 0)).round().to(torch.uint8))
    counts = count_kinds(found.kinds)
    assert counts.get("relative", 0) + counts.get("features", 0) >= 0.9 * N, counts


def test_copies_in_features_alone_are_suspects() -> None:
    """Images rotated by a half turn are no copies in pixels; here their features are those of training faces."""
    samples, train = FACES["train"][:N].flip(2, 3), FACES["train"]
    reference = {split: compute_features(images[:HELD_OUT]) for split, images in FACES.items()}
    features = compute_features(train[:N]) + 1
    counts = count_kinds(search_copies(samples, features, FACES, reference, CPU).kinds)
    assert counts.get("features", 0) >= 0.95 * N


def test_the_outlier_limit_ignores_a_few_small_ratios() -> None:
    ratios = torch.linspace(0.8, 1.2, 200, dtype=torch.float64)
    limit = find_outlier_limit(ratios)
    assert 0.2 < limit < 0.8
    contaminated = ratios.clone()
    contaminated[:10] = 0.001
    assert find_outlier_limit(contaminated) == pytest.approx(limit, rel=0.1)


def test_of_new_faces_about_one_in_a_hundred_is_close() -> None:
    generator = torch.Generator().manual_seed(0)
    trials = [torch.rand(2, 500, generator=generator, dtype=torch.float64) for _ in range(400)]
    shares = torch.tensor([compute_close_share(samples, held_out, 0.0) for samples, held_out in trials])
    # The limit is the fifth smallest of 500 ratios of held-out faces, which 5 of 501 new ones precede on average.
    assert float(shares.mean()) == pytest.approx(5 / 501, rel=0.1)
    copied = [compute_close_share(samples / 200, held_out, 0.0) for samples, held_out in trials[:20]]
    assert min(copied) > 0.5


@pytest.mark.parametrize("held_out", [2, 3])
def test_a_search_with_few_faces_has_finite_scores(held_out: int) -> None:
    faces = {"train": FACES["train"][:2], "held_out": FACES["held_out"][:held_out]}
    scores: dict[str, Any] = search(NEW[:5], faces).scores
    assert 0 <= scores["copied"] <= 1 and 0 <= scores["close"] <= 1
    assert scores["copy_ratio"] > 0 and scores["copy_ratio_floor"] > 0
