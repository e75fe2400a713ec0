"""Nearest neighbours and copies: exhaustive searches, and samples that are known to be copies or new faces."""

import pytest
import torch
from support.training import CPU
from torch import Tensor

from omokage.evaluation.scores.neighbours import (
    NearestNeighbours,
    compute_copied_share,
    compute_distance_ratios,
    find_nearest_in_features,
    find_nearest_in_pixels,
)

pytestmark = pytest.mark.usefixtures("use_one_thread")


def make_faces(count: int, seed: int) -> Tensor:
    """Return different smooth images, none of them symmetric: uint8 [count, 3, 8, 8]."""
    coarse = 255 * torch.rand(count, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=8, mode="bilinear", align_corners=True)
    return smooth.round().to(torch.uint8)


def compute_rms_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the root mean square difference of all pairs of images: float64 [len(x), len(y)]."""
    return (x[:, None].double() - y[None].double()).square().mean((2, 3, 4)).sqrt()


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_nearest_in_pixels_equals_that_of_an_exhaustive_search(mirrored: bool) -> None:
    images = make_faces(30, 0)
    faces = torch.cat([make_faces(4200, 1)[:300], make_faces(4200, 1)[-1:], images[[4]].flip(3)])
    expected = compute_rms_distances(images, faces)
    if mirrored:
        expected = torch.minimum(expected, compute_rms_distances(images, faces.flip(3)))
    nearest = find_nearest_in_pixels(images, faces, CPU, mirrored)
    torch.testing.assert_close(nearest.distance, expected.min(1).values)
    assert torch.equal(nearest.index, expected.argmin(1))
    assert (float(nearest.distance[4]) == 0) == mirrored

    nearest = find_nearest_in_pixels(faces[:40], faces[:40], CPU, mirrored, include_self=False)
    expected = compute_rms_distances(faces[:40], faces[:40])
    assert (nearest.index != torch.arange(40)).all()
    if not mirrored:
        torch.testing.assert_close(nearest.distance, expected.fill_diagonal_(torch.inf).min(1).values)


def test_searching_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, faces = make_faces(30, 0), make_faces(90, 1)

    def search() -> list[NearestNeighbours]:
        return [
            find_nearest_in_pixels(images, faces, CPU, True),
            find_nearest_in_pixels(faces, faces, CPU, True, include_self=False),
        ]

    expected = search()
    monkeypatch.setattr("omokage.evaluation.scores.neighbours.CHUNK", 32)
    monkeypatch.setattr("omokage.evaluation.scores.pairwise.BLOCK_ROWS", 7)
    for whole, chunked in zip(expected, search(), strict=True):
        assert torch.equal(whole.index, chunked.index) and torch.equal(whole.distance, chunked.distance)


def test_the_nearest_in_features_equals_that_of_an_exhaustive_search() -> None:
    features = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    reference = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    expected = torch.tensor([[float((x - y).norm()) for y in reference.double()] for x in features.double()])
    nearest = find_nearest_in_features(features, reference)
    assert torch.equal(nearest.index, expected.argmin(1))
    torch.testing.assert_close(nearest.distance, expected.min(1).values.double(), rtol=1e-6, atol=1e-6)


TRAIN, HELD_OUT = 900, 300


def score_copying(samples: Tensor, mirrored: bool = False) -> tuple[float, float, float]:
    """Return the share of copies, the median distance ratio and its floor, for a training set of 900 faces."""
    faces = make_faces(TRAIN + HELD_OUT, 0)
    train, held_out = faces[:TRAIN], faces[TRAIN:]

    def compute_ratios(images: Tensor, include_self: bool) -> Tensor:
        return compute_distance_ratios(
            find_nearest_in_pixels(images, train, CPU, mirrored),
            find_nearest_in_pixels(images, held_out, CPU, mirrored, include_self),
        )

    ratios, floor = compute_ratios(samples, True), compute_ratios(held_out, False)
    return compute_copied_share(ratios, floor), float(ratios.median()), float(floor.median())


def add_noise(images: Tensor, strength: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
    return (images + strength * noise).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("strength", [0.0, 4.0])
def test_training_faces_count_as_copies_even_with_some_noise(strength: float) -> None:
    share, ratio, floor = score_copying(add_noise(make_faces(TRAIN, 0)[::3], strength))
    assert share > 0.97 and ratio < 0.4 < 0.7 < floor


def test_new_faces_are_not_copies_although_the_training_set_is_larger() -> None:
    share, ratio, floor = score_copying(make_faces(3000, 5))
    assert 0.002 < share < 0.03
    # The nearest of three times as many faces is closer, for new faces as for held-out ones.
    assert ratio == pytest.approx(floor, rel=0.05) and floor < 0.95
    assert score_copying(make_faces(TRAIN + HELD_OUT, 0)[TRAIN:])[0] == 0


def test_copies_among_new_faces_are_counted() -> None:
    samples = torch.cat([add_noise(make_faces(TRAIN, 0)[:100], 4.0), make_faces(900, 5)])
    assert score_copying(samples)[0] == pytest.approx(0.1, abs=0.02)


def test_mirrored_training_faces_are_copies_only_if_the_training_mirrors() -> None:
    mirrored = make_faces(TRAIN, 0)[::3].flip(3)
    assert score_copying(mirrored, mirrored=True)[0] > 0.97
    assert score_copying(mirrored, mirrored=False)[0] < 0.05
