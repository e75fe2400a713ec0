"""The limit beyond which the report says that a model copies: chance alone hardly ever exceeds it."""

from typing import Any

import numpy as np
import pytest
from support.report_fixtures import with_metrics

from omokage.report.assessment import judge_run
from omokage.report.memorisation import COPY_KINDS, RARE, RELATIVE_KINDS, limit_share

SIZES = [(40, 500), (120, 120), (500, 500), (5000, 300)]
NONE = dict.fromkeys((*COPY_KINDS, *RELATIVE_KINDS), 0.0)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_chance_exceeds_the_limit_in_about_one_of_a_thousand_runs_or_fewer(n: int, m: int, share: float) -> None:
    run, random = with_metrics(n=n, n_reference=m), np.random.default_rng(0)
    samples, held_out = random.binomial(n, share, 20_000), random.binomial(m, share, 20_000)
    limits = {count: limit_share(count / m, run) for count in map(int, np.unique(held_out))}
    alarms = np.mean([count / n > limits[int(floor)] for count, floor in zip(samples, held_out, strict=True)])
    assert alarms <= 1.5 * RARE


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_ten_times_the_floor_exceeds_the_limit(n: int, m: int) -> None:
    assert limit_share(0.02, with_metrics(n=n, n_reference=m)) < 0.2


def find_problems(floor: float, **shares: float) -> tuple[str, ...]:
    """Return the problems of 500 samples, of which these shares are suspects, and of held-out faces the floor."""
    samples: dict[str, Any] = {"n": 500, "copies": NONE | shares, "copied": sum(shares.values())}
    held_out: dict[str, Any] = {"n_reference": 500, "copies_floor": NONE | {"near": floor}, "copied_floor": floor}
    run = with_metrics(**samples, **held_out)
    return judge_run(run)["Memorisation"].problems


def test_exact_copies_count_one_by_one_and_changed_ones_beyond_the_floor() -> None:
    assert find_problems(0.01, exact=0.002) == ("copies of training faces",)
    assert find_problems(0.01, near=0.02) == ()
    assert find_problems(0.01, near=0.06) == ("copies of training faces",)


def test_a_few_relative_suspects_are_chance_even_if_no_held_out_face_is_one() -> None:
    assert find_problems(0.0, features=0.008) == ()
    assert find_problems(0.0, features=0.03) == ("samples close to training faces",)
