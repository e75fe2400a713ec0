"""The frames of a denoising: from pure noise to the clean image, evenly in log-SNR."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from omokage.diffusion.schedule import Schedule
from omokage.sampling.frames import CLEAN_T, choose_steps, join_steps, stack_frames
from omokage.sampling.samplers import SamplerStep
from omokage.sampling.spacing import SPACINGS


@given(log_snr=st.lists(st.floats(-20, 12), min_size=1, max_size=60, unique=True).map(sorted), count=st.integers(2, 80))
def test_the_steps_are_different_in_order_and_start_with_the_noise(log_snr: list[float], count: int) -> None:
    chosen = choose_steps([-math.inf, *log_snr[1:]], count)
    assert chosen[0] == 0 and chosen == sorted(set(chosen)) and chosen[-1] < len(log_snr)
    # With the clean image, these are `count` frames, or all if the sampler takes fewer steps.
    assert len(chosen) + 1 == min(count, len(log_snr) + 1)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("zero_snr", [False, True])
def test_the_frames_are_even_in_log_snr(spacing: str, zero_snr: bool) -> None:
    schedule = Schedule.make("cosine", 1000, zero_snr, 1.4)
    timesteps = SPACINGS[spacing](schedule, 200)
    log_snr = schedule.log_snr[timesteps].tolist()
    shown = [log_snr[step] for step in choose_steps(log_snr, 11)[1:]]
    gaps = [after - before for before, after in pairwise(shown)]
    assert -7 < shown[0] < -4 and 5 < shown[-1] < 7
    assert max(gaps) < 1.6 * min(gaps)


def test_the_last_frame_is_the_clean_image() -> None:
    def fill(value: int, n: int = 2) -> Tensor:
        return torch.full((n, 3, 4, 4), value, dtype=torch.uint8)

    parts = [[SamplerStep(t, fill(t, n), fill(t + 1, n)) for n in (1, 3)] for t in (9, 5)]
    frames = stack_frames([join_steps(step, 2) for step in parts], [-math.inf, 1.5], fill(100))
    assert frames["t"].tolist() == [9, 5, CLEAN_T]
    assert frames["log_snr"].tolist() == [-math.inf, 1.5, math.inf]
    assert frames["x_t"].shape == frames["x0"].shape == (3, 2, 3, 4, 4)
    assert frames["x_t"][:, 0, 0, 0, 0].tolist() == [9, 5, 100] and frames["x0"][:, 1, 2, 3, 3].tolist() == [10, 6, 100]
