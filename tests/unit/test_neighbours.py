"""Nearest neighbours in pixels and in features, compared with exhaustive searches."""

import itertools

import pytest
import torch
from support.copies import make_faces, shift
from support.training import CPU
from torch import Tensor
from torch.nn import functional

from omokage.evaluation.scores.alignment import MAX_OFFSET
from omokage.evaluation.scores.neighbours import (
    AlignedNeighbours,
    compute_distance_ratios,
    find_nearest_in_features,
    find_nearest_in_pixels,
)

pytestmark = pytest.mark.usefixtures("use_one_thread")


def compute_aligned_distance(image: Tensor, face: Tensor) -> float:
    """Return the least distance of two images of 24 pixels over all shifts, mirrored or not, by its definition."""

    def smooth(pixels: Tensor) -> Tensor:
        return functional.avg_pool2d(functional.pad(pixels[None].double(), (1, 1, 1, 1), mode="replicate"), 3, 1)[0]

    inner, distances = smooth(image)[:, 3:-3, 3:-3], []
    for mirrored, down, right in itertools.product((False, True), range(-2, 3), range(-2, 3)):
        window = smooth(face.flip(2) if mirrored else face)[:, 3 - down : 21 - down, 3 - right : 21 - right]
        error = inner - window
        error -= error.mean((1, 2), keepdim=True).clamp(-MAX_OFFSET, MAX_OFFSET)
        distances.append(float(error.square().mean().sqrt()))
    return min(distances)


def test_the_nearest_in_pixels_equals_that_of_an_exhaustive_search() -> None:
    # Four faces and their mirror images are all candidates.
    images, faces = make_faces(20, 0, side=24), make_faces(4, 1, side=24)
    expected = torch.tensor([[compute_aligned_distance(image, face) for face in faces] for image in images])
    nearest = find_nearest_in_pixels(images, faces, CPU)
    torch.testing.assert_close(nearest.distance, expected.min(1).values.double(), rtol=1e-5, atol=1e-5)
    assert torch.equal(nearest.index, expected.argmin(1))


def test_copies_are_found_among_many_faces_with_their_alignment() -> None:
    faces = make_faces(600, 2)
    originals = torch.arange(0, 600, 20)
    for images, mirrored, right, down in (
        (faces[originals], False, 0, 0),
        (faces[originals].flip(3), True, 0, 0),
        (shift(faces[originals], right=1, down=1), False, 1, 1),
        (shift(faces[originals], right=-2, down=1), False, -2, 1),
        (shift(faces[originals].flip(3), right=1, down=0), True, 1, 0),
    ):
        nearest = find_nearest_in_pixels(images, faces, CPU)
        assert torch.equal(nearest.index, originals) and bool((nearest.distance < 1e-3).all())
        alignment = nearest.alignment
        assert bool((alignment.mirrored == mirrored).all())
        assert bool((alignment.right == right).all()) and bool((alignment.down == down).all())


def test_the_difference_is_that_of_whole_images_as_they_are() -> None:
    faces = make_faces(40, 3)
    images = (faces.int() + 7).clamp(max=255).to(torch.uint8)
    nearest = find_nearest_in_pixels(images, faces, CPU)
    expected = (images.double() - faces.double()).square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(nearest.alignment.difference, expected)
    assert bool((nearest.distance < 1).all())  # without the brightness


def test_the_result_does_not_depend_on_the_size_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    images, faces = make_faces(30, 4), make_faces(90, 5)

    def search() -> list[AlignedNeighbours]:
        return [
            find_nearest_in_pixels(images, faces, CPU),
            find_nearest_in_pixels(faces, faces, CPU, include_self=False),
        ]

    expected = search()
    monkeypatch.setattr("omokage.evaluation.scores.alignment.CHUNK", 32)
    monkeypatch.setattr("omokage.evaluation.scores.alignment.ROWS", 11)
    monkeypatch.setattr("omokage.evaluation.scores.pairwise.BLOCK_ROWS", 7)
    for whole, chunked in zip(expected, search(), strict=True):
        assert torch.equal(whole.index, chunked.index) and torch.equal(whole.distance, chunked.distance)


@pytest.mark.parametrize("count", [2, 3, 50])
def test_a_face_is_not_its_own_neighbour(count: int) -> None:
    faces = make_faces(count, 6)
    nearest = find_nearest_in_pixels(faces, faces, CPU, include_self=False)
    assert not bool((nearest.index == torch.arange(count)).any())
    assert not bool(
        (find_nearest_in_features(faces.flatten(1), faces.flatten(1), False).index == torch.arange(count)).any()
    )


def test_the_nearest_in_features_equals_that_of_an_exhaustive_search() -> None:
    features = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    reference = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    expected = torch.tensor([[float((x - y).norm()) for y in reference.double()] for x in features.double()])
    nearest = find_nearest_in_features(features, reference)
    assert torch.equal(nearest.index, expected.argmin(1))
    torch.testing.assert_close(nearest.distance, expected.min(1).values.double(), rtol=1e-6, atol=1e-6)


def test_the_distance_ratio_of_new_faces_is_that_of_held_out_faces() -> None:
    train, held_out, new = make_faces(900, 0), make_faces(300, 1), make_faces(300, 2)

    def compute_median(images: Tensor, include_self: bool) -> float:
        nearest = (
            find_nearest_in_pixels(images, train, CPU),
            find_nearest_in_pixels(images, held_out, CPU, include_self),
        )
        return float(compute_distance_ratios(*nearest).median())

    # The nearest of three times as many faces is closer, for new faces as for held-out ones.
    floor = compute_median(held_out, include_self=False)
    assert compute_median(new, include_self=True) == pytest.approx(floor, rel=0.03) and floor < 0.99
