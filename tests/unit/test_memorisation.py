"""The report's words for copies, and the limit of chance: without copies, it is hardly ever exceeded."""

from typing import Any

import numpy as np
import pytest
from support.report_fixtures import GOOD_RUN, NO_COPIES, with_metrics
from support.verdicts import NONE_FOUND, read_paragraphs

from omokage.evaluation.scores import copies
from omokage.report.assessment import judge_run, summarise_run
from omokage.report.memorisation import LIMITS, RARE, limit_share
from omokage.report.run import Run

SIZES = [(40, 500), (120, 120), (500, 500), (5000, 300)]


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
    samples: dict[str, Any] = {"n": 500, "copies": NO_COPIES | shares, "copied": sum(shares.values())}
    held_out: dict[str, Any] = {"n_reference": 500, "copies_floor": NO_COPIES | {"near": floor}, "copied_floor": floor}
    run = with_metrics(**samples, **held_out)
    return judge_run(run)["Memorisation"].problems


def test_exact_copies_count_one_by_one_and_changed_ones_beyond_the_floor() -> None:
    assert find_problems(0.01, exact=0.002) == ("copies of training faces",)
    assert find_problems(0.01, near=0.02) == ()
    assert find_problems(0.01, near=0.06) == ("copies of training faces",)


def test_a_few_relative_suspects_are_chance_even_if_no_held_out_face_is_one() -> None:
    assert find_problems(0.0, features=0.008) == ()
    assert find_problems(0.0, features=0.03) == ("samples close to training faces",)


@pytest.mark.parametrize(
    ("close", "n", "is_problem"),
    [(0.02, 500, False), (0.05, 500, True), (0.05, 40, False), (0.0102, 50_000, False), (0.02, 50_000, True)],
)
def test_the_limit_for_close_samples_depends_on_the_number_of_samples(close: float, n: int, is_problem: bool) -> None:
    verdict = judge_run(with_metrics(close=close, n=n))["Memorisation"]
    assert verdict.short == ("more samples are close to a training face than by chance" if is_problem else NONE_FOUND)
    assert verdict.problems == (("samples close to training faces",) if is_problem else ())


def with_copies(floor: float = 0.0, **shares: float) -> Run:
    """Return the good run with 500 samples, of which these shares are suspects, and as held-out faces the floor."""
    floors = {**NO_COPIES, "near": floor}
    copies = {**NO_COPIES, **shares}
    return with_metrics(
        n=500, n_reference=500, copies=copies, copied=sum(shares.values()), copies_floor=floors, copied_floor=floor
    )


@pytest.mark.parametrize(
    ("run", "short", "problems"),
    [
        (with_copies(exact=0.01), "500 samples with 5 copies of training faces", ("copies of training faces",)),
        (
            with_copies(mirrored=0.002),
            "500 samples with 1 suspected copy of training faces",
            ("copies of training faces",),
        ),
        (with_copies(shifted=1.0), "100 % of the samples are suspected copies", ("memorisation",)),
        (with_copies(features=0.3), "30 % of the samples are suspected copies", ("memorisation",)),
        (with_copies(floor=0.02, near=0.02), "10 suspected copies, no more than among held-out faces", ()),
        (with_copies(floor=0.9, near=0.9), "450 suspected copies, no more than among held-out faces", ()),
        (with_copies(floor=0.02, near=0.1), "500 samples with 50 suspected copies", ("copies of training faces",)),
        (with_copies(floor=0.002, relative=0.05), "more samples are close", ("samples close to training faces",)),
    ],
)
def test_copies_are_named_unless_held_out_faces_have_as_many(run: Run, short: str, problems: tuple[str, ...]) -> None:
    verdict = judge_run(run)["Memorisation"]
    assert verdict.short.startswith(short) and verdict.problems == problems
    assert "new faces" not in read_paragraphs(run)
    if problems:
        assert problems[0] in summarise_run(run)
    assert ("this much alike" in read_paragraphs(run)) == ("no more than" in short)


def test_without_suspects_the_searches_are_named() -> None:
    text = read_paragraphs(GOOD_RUN)
    assert "None found by these searches (floor: 0.0 %)" in text and "mirrored, shifted by up to 2 pixels" in text
    assert "compared with all 45,000 training faces" in text and "compared with 500 training faces" in text


def test_the_limits_in_the_text_are_those_of_the_search() -> None:
    assert (copies.EXACT_LIMIT, copies.NEAR_LIMIT) == LIMITS
