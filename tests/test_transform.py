"""Pictures made of pictures, with a denoiser that is ideal for a Gaussian."""

from functools import partial

import pytest
import torch
from test_samplers import MEAN, STD, always, ideal

from omokage.diffusion.random import generator
from omokage.diffusion.samplers import choose, log_snr, trailing
from omokage.diffusion.schedule import Schedule
from omokage.diffusion.transform import between, decode, encode, variation

SCHEDULE = Schedule.make("cosine", 1000)
DENOISER = ideal("v", SCHEDULE)
PICTURES = MEAN + STD * torch.randn(50, 3, 8, 8, generator=generator(0, "pictures"), dtype=torch.float64)


def test_encoding_gives_noise_and_decoding_gives_the_pictures_back_the_better_the_more_steps() -> None:
    errors = []
    for count in (25, 50, 100, 200):
        steps = log_snr(SCHEDULE, count)
        latent = encode(DENOISER, PICTURES, steps)
        errors.append(float((decode(DENOISER, latent, steps) - PICTURES).square().mean().sqrt()))
    assert float(latent.mean()) == pytest.approx(0, abs=0.03)
    assert float(latent.std()) == pytest.approx(1, abs=0.05)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.04 * STD < errors[1]


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpm-solver++", "heun"])
def test_a_variation_keeps_more_of_the_picture_the_weaker_it_is(name: str) -> None:
    steps = trailing(SCHEDULE, 50)

    def noise(i: int) -> torch.Tensor:
        return torch.randn(PICTURES.shape, generator=generator(1, "variation", i), dtype=torch.float64)

    distances = []
    for strength in (0.0, 0.2, 0.5, 0.8):
        varied = variation(DENOISER, PICTURES, strength, steps, choose(name, 0.0), noise)
        distances.append(float((varied - PICTURES).square().mean().sqrt()))
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert float(varied.std()) == pytest.approx(STD, rel=0.1)


def test_a_variation_of_full_strength_is_a_new_picture() -> None:
    steps, fresh = trailing(SCHEDULE, 20), torch.randn(PICTURES.shape, generator=generator(2, "x"), dtype=torch.float64)
    one, other = (
        variation(DENOISER, start, 1.0, steps, choose("ddim", 0.0), partial(always, fresh))
        for start in (PICTURES, -PICTURES)
    )
    torch.testing.assert_close(one, other, atol=0.01, rtol=0)


def test_between_two_pictures_lie_the_two_at_its_ends_and_pictures_on_the_way() -> None:
    steps = log_snr(SCHEDULE, 200)
    way = between(DENOISER, PICTURES[:1], PICTURES[1:2], torch.linspace(0, 1, 5), steps)
    torch.testing.assert_close(way[[0, -1]], PICTURES[:2], atol=0.1, rtol=0)
    assert all(float(picture.std()) == pytest.approx(STD, rel=0.2) for picture in way)
