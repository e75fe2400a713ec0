"""Timestep spacings: which timesteps they choose, and what early spacing does for the samples."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.gaussian import MEAN, STD, make_ideal_denoiser, make_unclipped_denoiser
from torch import Tensor

from omokage.compute.seeding import make_generator
from omokage.diffusion.schedule import SCHEDULES, Schedule
from omokage.sampling.samplers import SAMPLERS, get_sampler
from omokage.sampling.spacing import SPACINGS, space_early, space_trailing

TIMESTEPS_AND_COUNTS = st.integers(1, 1200).flatmap(lambda t: st.tuples(st.just(t), st.integers(1, t)))


@settings(max_examples=300)
@given(
    name=st.sampled_from(list(SPACINGS)),
    schedule=st.sampled_from(list(SCHEDULES)),
    zero_snr=st.booleans(),
    size=TIMESTEPS_AND_COUNTS,
)
@example(name="leading", schedule="cosine", zero_snr=False, size=(1000, 501))
@example(name="leading", schedule="cosine", zero_snr=False, size=(1200, 799))
def test_a_spacing_returns_the_requested_number_of_timesteps_from_high_noise_to_low(
    name: str, schedule: str, zero_snr: bool, size: tuple[int, int]
) -> None:
    timesteps, count = size
    chosen = SPACINGS[name](Schedule.make(schedule, timesteps, zero_snr and timesteps > 1), count)
    assert len(chosen) == count
    assert all(t > t_next for t, t_next in pairwise(chosen))
    assert chosen[0] == timesteps - (math.ceil(timesteps / count) if name == "leading" else 1)
    if name in ("early", "trailing"):
        # Early spacing has at least five sixths of the timesteps of trailing spacing.
        assert 0 <= chosen[-1] <= (1.2 if name == "early" else 1) * timesteps / count
    else:
        assert chosen[-1] == 0 or count == 1


@pytest.mark.parametrize(
    ("sampler", "spacing"),
    [*((sampler, "leading") for sampler in SAMPLERS), *(("ddim", spacing) for spacing in SPACINGS)],
)
def test_every_spacing_samples_a_gaussian_if_the_count_does_not_divide_the_timesteps(
    sampler: str, spacing: str
) -> None:
    schedule = Schedule.make("cosine", 1000)
    denoiser, timesteps = make_ideal_denoiser("v", schedule), SPACINGS[spacing](schedule, 501)

    def noise(step: int) -> Tensor:
        return torch.randn(2, 3, 32, 32, generator=make_generator(0, "noise", step), dtype=torch.float64)

    *_, last = get_sampler(sampler, 0.0)(denoiser, noise(-1), timesteps, noise)
    # The standard errors are 0.006 and 0.005.
    assert float(last.x0.mean()) == pytest.approx(MEAN, abs=0.025)
    assert float(last.x0.std()) == pytest.approx(STD, abs=0.025)


def test_early_spacing_fills_the_gap_after_pure_noise_and_equals_trailing_without_a_gap() -> None:
    schedule = Schedule.make("cosine", 1000, False, 1.4)
    timesteps = space_early(schedule, 20)
    log_snr = schedule.log_snr[timesteps]
    assert float(log_snr[1]) == pytest.approx(-7, abs=0.1)
    assert float(log_snr[1:6].diff().max()) < 1.5 < float(schedule.log_snr[space_trailing(schedule, 20)][1]) + 7
    assert timesteps[4:] == space_trailing(schedule, 17)[1:]
    assert space_early(schedule, 100) == space_trailing(schedule, 100)
    assert space_early(schedule, 5) == space_trailing(schedule, 5)


def test_log_snr_spacing_is_even_if_the_schedule_has_many_timesteps() -> None:
    schedule = Schedule.make("linear", 10_000)
    gaps = schedule.log_snr[SPACINGS["log-snr"](schedule, 20)].diff()
    assert float(gaps.max() / gaps.min()) < 1.05


@pytest.mark.parametrize("spacing", ["early", "trailing"])
def test_colours_far_from_the_mean_are_sampled_only_with_early_spacing(spacing: str) -> None:
    # The data are constant images in five shades of grey, so the ideal denoiser is a softmax over the shades.
    schedule = Schedule.make("cosine", 1000, False, 1.4)
    shades = torch.linspace(-0.3, 0.3, 5, dtype=torch.float64)

    def predict_v(x: Tensor, angle: Tensor) -> Tensor:
        alpha, sigma = torch.cos(angle[0]).double(), torch.sin(angle[0]).double()
        mean, pixels = x.double().mean((1, 2, 3)), x[0].numel()
        weight = (-((mean[:, None] - alpha * shades) ** 2) * pixels / (2 * sigma**2)).softmax(1)
        return (alpha * x - (weight * shades).sum(1).view(-1, 1, 1, 1)) / sigma

    denoiser = make_unclipped_denoiser(predict_v, "v", schedule)
    timesteps = SPACINGS[spacing](schedule, 20)

    def noise(step: int) -> Tensor:
        return torch.randn(400, 3, 32, 32, generator=make_generator(0, "shades", step))

    *_, last = get_sampler("ddpm", 0.0)(denoiser, noise(-1), timesteps, noise)
    frequencies = (last.x0.mean((1, 2, 3))[:, None] - shades).abs().argmin(1).bincount(minlength=5) / 400
    if spacing == "early":
        assert float(frequencies.min()) > 0.1
    else:
        assert float(frequencies[[0, 4]].max()) < 0.06
