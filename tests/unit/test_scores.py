"""Overlap, bootstrap and style scores: values computed by hand, from the definition, or by clean-fid."""

import numpy as np
import pytest
import torch
from cleanfid import fid
from support.report_fixtures import GOOD_RUN
from torch import Tensor

from omokage.config.params_file import default_params
from omokage.evaluation.scores import bootstrap, distances
from omokage.evaluation.scores.manifold import DENSITY_K, PRECISION_K, compute_overlap
from omokage.evaluation.scores.metrics import select_headlines
from omokage.evaluation.scores.style import compare_style

pytestmark = pytest.mark.usefixtures("use_one_thread")


def make_gaussian(n: int, d: int, seed: int, shift: float = 0.0) -> Tensor:
    """Return n rows of d normally distributed numbers with mean `shift`."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def test_overlap_on_a_line_equals_counting_by_hand() -> None:
    line = torch.arange(100.0)[:, None]
    # The balls around 0 to 99 have radius 2 (third nearest) or 3 (fifth nearest), those around the two features 30.
    overlap = compute_overlap(torch.tensor([[50.5], [20.5]]), line)
    assert overlap == pytest.approx({"precision": 1, "recall": 0.81, "density": 6 / 5, "coverage": 0.12})
    # Of these features, the first four have radius 0, and the ball of the last one reaches them.
    overlap = compute_overlap(torch.tensor([[50.5], [50.5], [50.5], [50.5], [-900.0]]), line)
    assert overlap == pytest.approx({"precision": 0.8, "recall": 0.51, "density": 0.8 * 6 / 5, "coverage": 0.06})
    # A ball holds seven points of the line; those of the three outermost points at each end hold six.
    assert compute_overlap(line, line) == pytest.approx(
        {"precision": 1, "recall": 1, "density": 694 / 500, "coverage": 1}
    )
    assert set(compute_overlap(line + 1000, line).values()) == {0}


@pytest.mark.parametrize(("n", "m"), [(40, 60), (60, 40), (3, 4)])
def test_overlap_equals_its_definition(n: int, m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omokage.evaluation.scores.pairwise.BLOCK_ROWS", 32)
    fake, real = make_gaussian(n, 3, 0, 0.5).double(), make_gaussian(m, 3, 1).double()

    def compute_radii(rows: Tensor, k: int) -> list[float]:
        distances = [sorted(float((x - y).norm()) for y in rows) for x in rows]
        return [row[min(k, len(rows) - 1)] for row in distances]

    precision_radii, density_radii = compute_radii(real, PRECISION_K), compute_radii(real, DENSITY_K)
    recall_radii = compute_radii(fake, PRECISION_K)
    distance = [[float((y - x).norm()) for x in real] for y in fake]
    inside = [[distance[j][i] <= density_radii[i] for i in range(m)] for j in range(n)]
    assert compute_overlap(fake, real) == pytest.approx(
        {
            "precision": np.mean([any(distance[j][i] <= precision_radii[i] for i in range(m)) for j in range(n)]),
            "recall": np.mean([any(distance[j][i] <= recall_radii[j] for j in range(n)) for i in range(m)]),
            "density": np.sum(inside) / (min(DENSITY_K, m - 1) * n),
            "coverage": np.mean([any(inside[j][i] for j in range(n)) for i in range(m)]),
        }
    )


def test_a_collapsed_model_has_high_precision_and_low_recall() -> None:
    real, mode = make_gaussian(200, 4, 0), make_gaussian(1, 4, 1) / 4
    collapsed = compute_overlap(mode + make_gaussian(200, 4, 2) / 50, real)
    good = compute_overlap(make_gaussian(200, 4, 3), real)
    assert collapsed["precision"] > 0.95 and collapsed["recall"] < 0.1 and collapsed["coverage"] < 0.2
    assert good["precision"] > 0.8 and good["recall"] > 0.8 and good["coverage"] > 0.85


@pytest.mark.parametrize(("n", "m", "d"), [(30, 25, 60), (30, 25, 8), (70, 9, 20), (9, 70, 20)])
def test_the_frechet_distance_of_a_resample_equals_that_of_its_rows(n: int, m: int, d: int) -> None:
    features, reference = make_gaussian(n, d, 0, 0.3), make_gaussian(m, d, 1)
    counts = torch.cat([torch.ones(1, n), bootstrap.draw_resamples(n, 3, seed=4)]).double()
    expected = [distances.compute_frechet(features.repeat_interleave(count.long(), 0), reference) for count in counts]
    assert bootstrap.bootstrap_frechet(features, reference, counts).tolist() == pytest.approx(expected, rel=1e-6)


def test_the_kid_of_a_resample_leaves_out_pairs_of_a_sample_with_itself() -> None:
    x, y = make_gaussian(30, 6, 0, 0.3).double(), make_gaussian(30, 6, 1).double()
    kernel = (y @ y.T / 6 + 1) ** 3
    reference_term = (kernel.sum() - kernel.trace()) / (30 * 29)
    counts = torch.cat([torch.ones(1, 30), bootstrap.draw_resamples(30, 2, seed=4)]).double()
    scores = (bootstrap.bootstrap_kid(x, y, counts) + reference_term).tolist()
    # The first "resample" is the samples themselves.
    assert scores[0] == pytest.approx(fid.kernel_distance(y.numpy(), x.numpy(), 1, 30), abs=1e-9)
    for score, count in zip(scores, counts, strict=True):
        rows = [i for i, times in enumerate(count.long().tolist()) for _ in range(times)]
        within = [float((x[i] @ x[j] / 6 + 1) ** 3) for i in rows for j in rows if i != j]
        across = ((x[rows] @ y.T / 6 + 1) ** 3).mean()
        assert score == pytest.approx(np.mean(within) + float(reference_term - 2 * across), abs=1e-9)


def test_a_resample_depends_on_the_seed_and_its_number_only() -> None:
    counts = bootstrap.draw_resamples(50, 4, seed=1)
    assert counts.sum(1).tolist() == [50] * 4 and len({tuple(row.tolist()) for row in counts}) == 4
    assert torch.equal(bootstrap.draw_resamples(50, 9, seed=1)[:4], counts)
    assert not torch.equal(bootstrap.draw_resamples(50, 4, seed=2), counts)


def test_intervals_contain_the_mean_score_of_other_samples_about_95_percent_of_the_time() -> None:
    reference, n, d, tries = make_gaussian(300, 12, 0), 40, 12, 80
    sample_sets = [make_gaussian(n, d, 1 + number, 0.25) for number in range(tries)]
    ones = torch.ones(1, n).double()
    scores = {
        "distance": [distances.compute_frechet(features, reference) for features in sample_sets],
        "kid": [float(bootstrap.bootstrap_kid(features, reference, ones)) for features in sample_sets],
    }
    counts = bootstrap.draw_resamples(n, 100, seed=0)
    for resample, values in zip((bootstrap.bootstrap_frechet, bootstrap.bootstrap_kid), scores.values(), strict=True):
        mean, contained, contained_unshifted = float(np.mean(values)), 0, 0
        for features, score in zip(sample_sets, values, strict=True):
            resampled = resample(features, reference, counts)
            low, high = bootstrap.compute_interval(score, resampled)
            assert low < score < high
            contained += low < mean < high
            contained_unshifted += float(resampled.quantile(0.025)) < mean < float(resampled.quantile(0.975))
        assert 0.85 < contained / tries < 1
        # Without the shift, the bootstrap of the biased Fréchet distance lies too high.
        assert resample is bootstrap.bootstrap_kid or contained_unshifted / tries < 0.5


@pytest.mark.parametrize("n", [2, 3])
def test_intervals_of_a_few_samples_are_numbers_around_the_estimate(n: int) -> None:
    features, reference = make_gaussian(n, 4, 0, shift=0.5), make_gaussian(9, 4, 1)
    for seed in range(5):
        counts = bootstrap.draw_resamples(n, 100, seed)
        assert bootstrap.bootstrap_kid(features, reference, counts).isnan().any()
        low, high = bootstrap.compute_interval(1.0, bootstrap.bootstrap_kid(features, reference, counts))
        assert low <= 1 + 1e-9 and high >= 1 - 1e-9
    assert bootstrap.compute_interval(1.0, torch.full((3,), torch.nan)) == (1, 1)


def test_style_measures_a_known_change_of_colours() -> None:
    noise = torch.randint(60, 180, (20, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    identical = {"red": 0, "green": 0, "blue": 0, "contrast": 1, "saturation": 1, "sharpness": 1}
    assert compare_style(noise, noise) == pytest.approx(identical)
    redder = compare_style(noise + torch.tensor([12, 0, 0], dtype=torch.uint8)[:, None, None], noise)
    assert {key: redder[key] for key in ("red", "green", "blue")} == pytest.approx({"red": 12, "green": 0, "blue": 0})
    assert redder["contrast"] == pytest.approx(1) and redder["sharpness"] == pytest.approx(1)
    half = (noise.double() / 2).to(torch.uint8)
    halved = compare_style(half, half * 2)
    assert halved["contrast"] == pytest.approx(0.5) and halved["saturation"] == pytest.approx(0.5)
    assert halved["sharpness"] == pytest.approx(0.25)
    grey = noise[:, :1].expand(-1, 3, -1, -1)
    assert compare_style(grey, noise)["saturation"] == 0
    assert compare_style(noise, grey)["saturation"] == pytest.approx(compare_style(noise, noise * 0)["saturation"])


def test_headlines_are_a_few_of_the_scores_and_no_parameter_has_their_name() -> None:
    scores = GOOD_RUN.metrics
    metrics = select_headlines(scores)
    assert [*metrics] == ["distance", "distance_floor", "kid", "prec", "recall", "coverage", "copied", "face_rate"]
    assert all(value == scores["precision" if key == "prec" else key] for key, value in metrics.items())
    assert select_headlines({**scores, "fid": 4.0})["fid"] == 4.0
    # For two columns of one name, `dvc exp show` puts the path of the file before each.
    assert not {*metrics, "fid", "kept", "dropped", "loss", "step"} & {*default_params()}
