"""Pictures made of pictures, with a denoiser ideal for a Gaussian; and the stage, with a network that is not."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_samplers import MEAN, STD, always, ideal
from test_training import faces, recipe, spec

from omokage import model, transforming
from omokage.data import shards
from omokage.device import prepare
from omokage.diffusion.random import generator
from omokage.diffusion.samplers import choose, log_snr, trailing
from omokage.diffusion.schedule import Schedule
from omokage.diffusion.transform import arc, between, decode, encode, variation
from omokage.job import Job
from omokage.params.transform import Params
from omokage.stages import transform
from omokage.training import loop
from omokage.transforming import Transformer

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


def test_noise_on_the_arc_between_two_noises_is_as_strong_as_they_are() -> None:
    start, end = (torch.randn(1, 3, 32, 32, generator=generator(3, "end", i), dtype=torch.float64) for i in (0, 1))
    way = arc(start, end, torch.linspace(0, 1, 5))
    torch.testing.assert_close(way[[0, -1]], torch.cat([start, end]))
    assert way.std((1, 2, 3)).tolist() == pytest.approx([1.0] * 5, rel=0.05)


def a_stage(root: Path, **changes: Any) -> Job[Params]:
    """Run the stage with a network of four steps of training."""
    prepare(1)
    work, machine = root / "work", loop.Machine(torch.device("cpu"), torch.float32)
    trained = loop.train(faces(), spec(), recipe(steps=4), machine, work, lambda row: None)
    model.save(root / "model.safetensors", trained.network, spec())
    shards.write(root / "faces", "held_out", faces(5))
    wish: dict[str, Any] = {"transform_faces": 3, "transform_strengths": [0.0, 0.5, 1.0], "transform_steps": 6}
    job = Job(
        params=Params(**{**wish, "transform_between": 4, "transform_seed": 0, **changes}),
        inputs={"data/faces": root / "faces", "results/model.safetensors": root / "model.safetensors"},
        outputs={"results/transformed.safetensors": root / "transformed.safetensors"},
        work=work,
        threads=1,
    )
    transform.run(job)
    return job


def test_the_stage_makes_faces_anew_by_strength_and_says_how_exact_the_way_back_is(tmp_path: Path) -> None:
    job = a_stage(tmp_path)
    made = load_file(tmp_path / "transformed.safetensors")
    assert torch.equal(made["faces"], faces(5)[:3]) and torch.equal(made["varied"][:, 0], made["faces"])
    distances = (made["varied"].float() - made["faces"][:, None].float()).square().mean((0, 2, 3, 4))
    assert distances[1] < distances[2]
    errors = (made["there_and_back"].double() - made["faces"].double()).square().mean((1, 2, 3)).sqrt()
    assert job.facts["round_trip_grey_levels"] == made["errors"].tolist() == pytest.approx(errors.tolist(), abs=1e-3)
    # As `omokage transform` would: one home for both.
    noised = Transformer(tmp_path / "model.safetensors", 6, 1).vary(faces(5)[:3], 0.5, "ddpm", 0)
    assert torch.equal(noised, made["varied"][:, 1])


def test_what_a_gpu_makes_anew_in_another_layout_is_filed_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name in ("usual", "gpu"):
        (tmp_path / name).mkdir()
        a_stage(tmp_path / name)
        made.append(load_file(tmp_path / name / "transformed.safetensors"))
        for module in (model, transforming):
            monkeypatch.setattr(module, "memory_format", lambda device: torch.channels_last)
    assert made[0].keys() == made[1].keys()
    for name, usual in made[0].items():
        assert (made[1][name].float() - usual.float()).abs().mean() < 2


def test_the_way_between_two_seeds_begins_and_ends_at_them_however_many_lie_on_it(tmp_path: Path) -> None:
    ways = []
    several: dict[str, dict[str, int]] = {"a": {}, "b": {"transform_between": 2}, "c": {"transform_seed": 1}}
    for name, changes in several.items():
        (tmp_path / name).mkdir()
        a_stage(tmp_path / name, **changes)
        ways.append(load_file(tmp_path / name / "transformed.safetensors")["between"])
    assert ways[0].shape == (transform.PAIRS, 4, 3, 16, 16)
    # Sums over batches of another size may differ in their last bits, and so a rounded grey level by one.
    assert (ways[0][:, [0, -1]].int() - ways[1].int()).abs().max() <= 1
    assert not torch.equal(ways[0], ways[2])
