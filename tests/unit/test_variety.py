"""Identical, nearly identical and uniform samples, the face rate, and the lower bound of an interval."""

import numpy as np
import pytest
import torch
from torch import Tensor

from omokage.data.detection.drawn_face import draw_test_face
from omokage.evaluation.scores import bootstrap, distances, metrics
from omokage.evaluation.scores.face_rate import compute_face_rates, enlarge
from omokage.evaluation.scores.variety import compare_samples, find_uniform

pytestmark = pytest.mark.usefixtures("use_one_thread")


def make_noise(n: int, seed: int, deviation: float = 60.0) -> Tensor:
    """Return noise images, uint8 [n, 3, 8, 8]."""
    noise = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (128 + deviation * noise).round().clamp(0, 255).to(torch.uint8)


def test_identical_samples_are_those_with_equal_pixels() -> None:
    real, samples = make_noise(30, 0), make_noise(10, 1)
    scores = compare_samples(samples[[0, 0, 1, 2, 2, 2, 3, 4, 5, 6]], real)
    assert (scores["distinct"], scores["identical"], scores["near_identical"]) == (7, 0.3, 0.5)
    assert scores["colour_variety"] == pytest.approx(1, abs=0.5)
    assert scores["uniform"] == scores["identical_floor"] == scores["uniform_floor"] == 0
    one_pixel = samples[:1].repeat(4, 1, 1, 1)
    one_pixel[torch.arange(4), 0, 0, torch.arange(4)] ^= 1
    scores = compare_samples(one_pixel, real)
    assert (scores["distinct"], scores["identical"], scores["near_identical"]) == (4, 0, 1)


@pytest.mark.parametrize("contrast", [0.2, 1.0])
def test_varied_samples_are_not_nearly_identical_at_any_contrast(contrast: float) -> None:
    real, samples = make_noise(200, 0), make_noise(200, 1, 60 * contrast)
    assert compare_samples(samples, real)["near_identical"] < 0.05
    assert compare_samples(samples, real)["near_identical_floor"] <= 0.01
    changed = samples[:1] + make_noise(200, 2, 2.0 * contrast) - 128
    assert compare_samples(changed, real)["near_identical"] == 1


def test_uniform_samples_have_one_colour_and_are_not_similar_to_each_other() -> None:
    real = make_noise(30, 0)
    colours = torch.randint(0, 256, (20, 3, 1, 1), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    uniform = colours.expand(-1, -1, 8, 8)
    scores = compare_samples(uniform, real)
    assert (scores["uniform"], scores["near_identical"]) == (1, 0)
    assert find_uniform(torch.cat([uniform, make_noise(5, 3, 1.0), make_noise(5, 3, 6.0)])).sum() == 25
    assert compare_samples(torch.cat([uniform[:5], real[:15]]), real)["uniform"] == 0.25
    # Without a real face to compare with, no sample counts as nearly identical.
    assert compare_samples(real, uniform)["near_identical"] == 0


def test_the_face_rate_is_the_share_of_images_with_a_face() -> None:
    face = np.array(draw_test_face().resize((40, 40))).transpose(2, 0, 1)
    noise = make_noise(3, 0).repeat_interleave(5, 2).repeat_interleave(5, 3).numpy()
    samples = np.stack([face, *noise])
    rates = compute_face_rates(samples, np.stack([face, face, noise[0], noise[1], face]))
    assert rates == {"face_rate": 0.25, "face_rate_floor": 0.5}


def test_an_image_is_enlarged_inside_a_margin_of_its_mean_colour() -> None:
    image = np.zeros((3, 10, 20), np.uint8)
    image[0] = 200
    image[1, :, :10] = 100
    enlarged = enlarge(image, side=80, margin=0.25)
    assert enlarged.size == (120, 80)
    assert enlarged.getpixel((3, 3)) == (200, 50, 0)
    assert enlarged.getpixel((30, 40)) == (200, 100, 0) and enlarged.getpixel((90, 40)) == (200, 0, 0)


def test_the_interval_of_a_frechet_distance_is_not_below_zero() -> None:
    resampled = torch.tensor([0.0, 0.5, 1.0, 6.0, 9.0]).double()
    low, high = bootstrap.compute_interval(0.2, resampled)
    assert low < 0 < high
    assert bootstrap.compute_interval(0.2, resampled, metrics.MINIMA["distance"]) == (0, high)
    # KID is unbiased, so it can be negative, and so can the bounds of its interval.
    assert bootstrap.compute_interval(0.2, resampled, metrics.MINIMA["kid"]) == (low, high)
    rows = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    assert 0 <= distances.compute_frechet(rows, rows) < 1e-5


def test_the_distance_to_the_training_set_rewards_copies() -> None:
    train, held_out, new = (
        torch.randn(60, 8, generator=torch.Generator().manual_seed(seed)).double() for seed in range(3)
    )
    reference = {"train": train, "held_out": held_out}
    copies, new_faces = (metrics.compute_training_distance(rows, reference) for rows in (train, new))
    assert copies["distance_train"] < 1e-5 < new_faces["distance_train"]
    assert copies["distance_train_floor"] == distances.compute_frechet(held_out, train)
