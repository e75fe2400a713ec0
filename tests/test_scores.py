"""Scores whose values are known: by hand, by the formula written out, by clean-fid, and by drawing again and again."""

import numpy as np
import pytest
import torch
from cleanfid import fid
from torch import Tensor

from omokage.evaluation import bootstrap, distances
from omokage.evaluation.manifolds import DENSITY_K, PRECISION_K, overlap
from omokage.evaluation.neighbours import copied, in_features, in_pixels, ratios
from omokage.evaluation.style import compared

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def gaussian(n: int, d: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def test_overlap_on_a_line_is_what_counting_gives() -> None:
    line = torch.arange(100.0)[:, None]
    # Around each of 0 to 99 a ball reaches 2 to its third nearest, 3 to its fifth; around each of two features 30.
    found = overlap(torch.tensor([[50.5], [20.5]]), line)
    assert found == pytest.approx({"precision": 1, "recall": 0.81, "density": 6 / 5, "coverage": 0.12})
    # Of these the first four reach nothing, the last one to them.
    found = overlap(torch.tensor([[50.5], [50.5], [50.5], [50.5], [-900.0]]), line)
    assert found == pytest.approx({"precision": 0.8, "recall": 0.51, "density": 0.8 * 6 / 5, "coverage": 0.06})
    # Balls hold seven of their own line, the three outermost at either end six.
    assert overlap(line, line) == pytest.approx({"precision": 1, "recall": 1, "density": 694 / 500, "coverage": 1})
    assert set(overlap(line + 1000, line).values()) == {0}


@pytest.mark.parametrize(("n", "m"), [(40, 60), (60, 40), (3, 4)])
def test_overlap_is_the_formula_written_out(n: int, m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omokage.evaluation.pairwise.ROWS", 32)
    fake, real = gaussian(n, 3, 0, 0.5).double(), gaussian(m, 3, 1).double()

    def reach(rows: Tensor, k: int) -> list[float]:
        apart = [sorted(float((one - other).norm()) for other in rows) for one in rows]
        return [row[min(k, len(rows) - 1)] for row in apart]

    near, wide, drawn = reach(real, PRECISION_K), reach(real, DENSITY_K), reach(fake, PRECISION_K)
    between = [[float((y - x).norm()) for x in real] for y in fake]
    inside = [[between[j][i] <= wide[i] for i in range(m)] for j in range(n)]
    assert overlap(fake, real) == pytest.approx(
        {
            "precision": np.mean([any(between[j][i] <= near[i] for i in range(m)) for j in range(n)]),
            "recall": np.mean([any(between[j][i] <= drawn[j] for j in range(n)) for i in range(m)]),
            "density": np.sum(inside) / (min(DENSITY_K, m - 1) * n),
            "coverage": np.mean([any(inside[j][i] for j in range(n)) for i in range(m)]),
        }
    )


def test_a_collapsed_model_is_precise_and_recalls_little() -> None:
    real, one = gaussian(200, 4, 0), gaussian(1, 4, 1) / 4
    collapsed = overlap(one + gaussian(200, 4, 2) / 50, real)
    good = overlap(gaussian(200, 4, 3), real)
    assert collapsed["precision"] > 0.95 and collapsed["recall"] < 0.1 and collapsed["coverage"] < 0.2
    assert good["precision"] > 0.8 and good["recall"] > 0.8 and good["coverage"] > 0.85


@pytest.mark.parametrize(("n", "m", "d"), [(30, 25, 60), (30, 25, 8), (70, 9, 20), (9, 70, 20)])
def test_a_resample_scores_what_its_rows_score(n: int, m: int, d: int) -> None:
    features, reference = gaussian(n, d, 0, 0.3), gaussian(m, d, 1)
    counts = torch.cat([torch.ones(1, n), bootstrap.resampled(n, 3, seed=4)]).double()
    expected = [distances.frechet(features.repeat_interleave(count.long(), 0), reference) for count in counts]
    assert bootstrap.frechet(features, reference, counts).tolist() == pytest.approx(expected, rel=1e-6)


def test_a_resamples_kid_is_clean_fids_without_pairs_of_one_sample() -> None:
    x, y = gaussian(30, 6, 0, 0.3).double(), gaussian(30, 6, 1).double()
    kernel = (y @ y.T / 6 + 1) ** 3
    among_reference = (kernel.sum() - kernel.trace()) / (30 * 29)
    counts = torch.cat([torch.ones(1, 30), bootstrap.resampled(30, 2, seed=4)]).double()
    found = (bootstrap.kid(x, y, counts) + among_reference).tolist()
    assert found[0] == pytest.approx(fid.kernel_distance(y.numpy(), x.numpy(), 1, 30), abs=1e-9)
    for score, count in zip(found, counts, strict=True):
        rows = [i for i, times in enumerate(count.long().tolist()) for _ in range(times)]
        within = [float((x[i] @ x[j] / 6 + 1) ** 3) for i in rows for j in rows if i != j]
        across = ((x[rows] @ y.T / 6 + 1) ** 3).mean()
        assert score == pytest.approx(np.mean(within) + float(among_reference - 2 * across), abs=1e-9)


def test_resamples_are_of_the_seed_and_their_number() -> None:
    counts = bootstrap.resampled(50, 4, seed=1)
    assert counts.sum(1).tolist() == [50] * 4 and len({tuple(row.tolist()) for row in counts}) == 4
    assert torch.equal(bootstrap.resampled(50, 9, seed=1)[:4], counts)
    assert not torch.equal(bootstrap.resampled(50, 4, seed=2), counts)


def test_intervals_hold_the_mean_score_of_other_samples_as_often_as_they_say() -> None:
    reference, n, d, tries = gaussian(300, 12, 0), 40, 12, 80
    drawn = [gaussian(n, d, 1 + number, 0.25) for number in range(tries)]
    scores = {
        "distance": [distances.frechet(features, reference) for features in drawn],
        "kid": [float(bootstrap.kid(features, reference, torch.ones(1, n).double())) for features in drawn],
    }
    counts = bootstrap.resampled(n, 100, seed=0)
    for spread, found in zip((bootstrap.frechet, bootstrap.kid), scores.values(), strict=True):
        mean, held, naive = float(np.mean(found)), 0, 0
        for features, score in zip(drawn, found, strict=True):
            again = spread(features, reference, counts)
            low, high = bootstrap.interval(score, again)
            assert low < score < high
            held += low < mean < high
            naive += float(again.quantile(0.025)) < mean < float(again.quantile(0.975))
        assert 0.85 < held / tries < 1
        # As it is, the bootstrap of a biased distance lies above what it is to hold.
        assert spread is bootstrap.kid or naive / tries < 0.5


def test_style_says_what_was_done_to_the_colours() -> None:
    noise = torch.randint(60, 180, (20, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    alike = {"red": 0, "green": 0, "blue": 0, "contrast": 1, "saturation": 1, "sharpness": 1}
    assert compared(noise, noise) == pytest.approx(alike)
    redder = noise + torch.tensor([12, 0, 0], dtype=torch.uint8)[:, None, None]
    found = compared(redder, noise)
    assert {key: found[key] for key in ("red", "green", "blue")} == pytest.approx({"red": 12, "green": 0, "blue": 0})
    assert found["contrast"] == pytest.approx(1) and found["sharpness"] == pytest.approx(1)
    halved = compared((noise.double() / 2).to(torch.uint8), (noise.double() / 2).to(torch.uint8) * 2)
    assert halved["contrast"] == pytest.approx(0.5) and halved["saturation"] == pytest.approx(0.5)
    assert halved["sharpness"] == pytest.approx(0.25)
    grey = noise[:, :1].expand(-1, 3, -1, -1)
    assert compared(grey, noise)["saturation"] == 0
    assert compared(noise, grey)["saturation"] == pytest.approx(compared(noise, noise * 0)["saturation"])


def faces(count: int, seed: int) -> Tensor:
    """Smooth pictures, no two alike, that differ from their mirror images: uint8 [count, 3, 8, 8]."""
    coarse = 255 * torch.rand(count, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=8, mode="bilinear", align_corners=True)
    return smooth.round().to(torch.uint8)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_nearest_in_pixels_is_that_of_comparing_all(mirrored: bool) -> None:
    some, others = faces(30, 0), torch.cat([faces(4200, 1)[:300], faces(4200, 1)[-1:], faces(30, 0)[[4]].flip(3)])
    apart = (some[:, None].double() - others[None].double()).square().mean((2, 3, 4)).sqrt()
    if mirrored:
        flipped = (some[:, None].double() - others.flip(3)[None].double()).square().mean((2, 3, 4)).sqrt()
        apart = torch.minimum(apart, flipped)
    found = in_pixels(some, others, CPU, mirrored)
    torch.testing.assert_close(found.distance, apart.min(1).values)
    assert torch.equal(found.number, apart.argmin(1))
    assert (float(found.distance[4]) == 0) == mirrored

    alone = in_pixels(others[:40], others[:40], CPU, mirrored, itself=False)
    among = (others[:40, None].double() - others[None, :40].double()).square().mean((2, 3, 4)).sqrt()
    assert (alone.number != torch.arange(40)).all()
    if not mirrored:
        torch.testing.assert_close(alone.distance, among.fill_diagonal_(torch.inf).min(1).values)


def test_many_faces_are_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    some, others = faces(30, 0), faces(90, 1)
    whole = [in_pixels(some, others, CPU, True), in_pixels(others, others, CPU, True, itself=False)]
    monkeypatch.setattr("omokage.evaluation.neighbours.AT_ONCE", 32)
    monkeypatch.setattr("omokage.evaluation.pairwise.ROWS", 7)
    parts = [in_pixels(some, others, CPU, True), in_pixels(others, others, CPU, True, itself=False)]
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one.number, other.number) and torch.equal(one.distance, other.distance)


def test_the_nearest_in_features_is_that_of_comparing_all() -> None:
    some, others = gaussian(300, 5, 0), gaussian(40, 5, 1)
    apart = torch.tensor([[float((x - y).norm()) for y in others.double()] for x in some.double()])
    found = in_features(some, others)
    assert torch.equal(found.number, apart.argmin(1))
    torch.testing.assert_close(found.distance, apart.min(1).values.double(), rtol=1e-6, atol=1e-6)


TRAIN, HELD_OUT = 900, 300


def judged(samples: Tensor, mirrored: bool = False) -> tuple[float, float, float]:
    """Return the share of copies, the median ratio, and its floor, of samples of a model trained on 900 faces."""
    every = faces(TRAIN + HELD_OUT, 0)
    train, held_out = every[:TRAIN], every[TRAIN:]

    def of(pictures: Tensor, itself: bool) -> Tensor:
        return ratios(in_pixels(pictures, train, CPU, mirrored), in_pixels(pictures, held_out, CPU, mirrored, itself))

    found, chance = of(samples, True), of(held_out, False)
    return copied(found, chance), float(found.median()), float(chance.median())


def noised(pictures: Tensor, strength: float) -> Tensor:
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(9))
    return (pictures + strength * noise).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("strength", [0.0, 4.0])
def test_a_model_that_returns_training_faces_is_unmasked(strength: float) -> None:
    share, ratio, floor = judged(noised(faces(TRAIN, 0)[::3], strength))
    assert share > 0.97 and ratio < 0.4 < 0.7 < floor


def test_new_faces_are_no_copies_however_many_more_the_training_faces_are() -> None:
    new = faces(3000, 5)
    share, ratio, floor = judged(new)
    assert 0.002 < share < 0.03
    # The nearest of three times as many is nearer, for new faces as for held-out ones.
    assert ratio == pytest.approx(floor, rel=0.05) and floor < 0.95
    assert judged(faces(TRAIN + HELD_OUT, 0)[TRAIN:])[0] == 0


def test_one_copy_in_ten_is_counted_as_that() -> None:
    mixed = torch.cat([noised(faces(TRAIN, 0)[:100], 4.0), faces(900, 5)])
    assert judged(mixed)[0] == pytest.approx(0.1, abs=0.02)


def test_mirrored_copies_count_where_the_training_mirrors() -> None:
    mirrored = faces(TRAIN, 0)[::3].flip(3)
    assert judged(mirrored, mirrored=True)[0] > 0.97
    assert judged(mirrored, mirrored=False)[0] < 0.05


@pytest.mark.parametrize("n", [2, 3])
def test_intervals_of_a_few_samples_are_numbers_around_the_estimate(n: int) -> None:
    features, reference = gaussian(n, 4, 0, shift=0.5), gaussian(9, 4, 1)
    for seed in range(5):
        counts = bootstrap.resampled(n, 100, seed)
        assert bootstrap.kid(features, reference, counts).isnan().any()
        low, high = bootstrap.interval(1.0, bootstrap.kid(features, reference, counts))
        assert low <= 1 + 1e-9 and high >= 1 - 1e-9
    assert bootstrap.interval(1.0, torch.full((3,), torch.nan)) == (1, 1)
