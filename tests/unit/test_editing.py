"""Image editing: with the ideal denoiser of a Gaussian, with a trained network, and as the stage `transform`."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.gaussian import MEAN, STD, make_ideal_denoiser, repeat_noise
from support.training import CPU, make_faces, make_spec, train_tiny

from omokage.base.errors import UserError
from omokage.base.job import Job
from omokage.compute.device import prepare_device
from omokage.compute.seeding import make_generator
from omokage.data import shards
from omokage.diffusion import model
from omokage.diffusion.schedule import Schedule
from omokage.editing import image_editor
from omokage.editing.edits import INVERSION_ITERATIONS, apply_sdedit, decode_ddim, invert_ddim, slerp
from omokage.editing.image_editor import ImageEditor
from omokage.params.transform import Params
from omokage.sampling.denoiser import Denoiser, make_denoiser
from omokage.sampling.samplers import SAMPLERS, get_sampler
from omokage.sampling.spacing import space_log_snr, space_trailing
from omokage.stages import transform
from omokage.training.trainer import create_network

SCHEDULE = Schedule.make("cosine", 1000)
DENOISER = make_ideal_denoiser("v", SCHEDULE)
IMAGES = MEAN + STD * torch.randn(50, 3, 8, 8, generator=make_generator(0, "pictures"), dtype=torch.float64)


def invert_and_decode(count: int, iterations: int) -> tuple[torch.Tensor, float]:
    """Return the latents of the images after `count` steps, and the error of the images decoded from them."""
    timesteps = space_log_snr(SCHEDULE, count)
    latent = invert_ddim(DENOISER, IMAGES, timesteps, iterations)
    return latent, float((decode_ddim(DENOISER, latent, timesteps) - IMAGES).square().mean().sqrt())


def test_explicit_inversion_gives_noise_and_is_more_exact_with_more_steps() -> None:
    errors = []
    for count in (25, 50, 100, 200):
        latent, error = invert_and_decode(count, 0)
        errors.append(error)
    assert float(latent.mean()) == pytest.approx(0, abs=0.03)
    assert float(latent.std()) == pytest.approx(1, abs=0.05)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.04 * STD < errors[1]


@pytest.mark.parametrize(("count", "iterations"), [(50, 3), (20, 10), (5, 80)])
def test_fixed_point_iterations_make_inversion_exact(count: int, iterations: int) -> None:
    explicit, implicit = (invert_and_decode(count, number)[1] for number in (0, iterations))
    assert implicit < 0.01 * STD and implicit < explicit / 4


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_variation_differs_more_from_the_image_at_higher_strength(name: str) -> None:
    timesteps = space_trailing(SCHEDULE, 50)

    def noise(i: int) -> torch.Tensor:
        return torch.randn(IMAGES.shape, generator=make_generator(1, "variation", i), dtype=torch.float64)

    distances = []
    for strength in (0.0, 0.2, 0.5, 0.8):
        varied = apply_sdedit(DENOISER, IMAGES, strength, timesteps, get_sampler(name, 0.0), noise)
        distances.append(float((varied - IMAGES).square().mean().sqrt()))
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert float(varied.std()) == pytest.approx(STD, rel=0.1)


def test_a_variation_of_full_strength_does_not_depend_on_the_image() -> None:
    timesteps = space_trailing(SCHEDULE, 20)
    noise = torch.randn(IMAGES.shape, generator=make_generator(2, "x"), dtype=torch.float64)
    first, second = (
        apply_sdedit(DENOISER, images, 1.0, timesteps, get_sampler("ddim", 0.0), repeat_noise(noise))
        for images in (IMAGES, -IMAGES)
    )
    torch.testing.assert_close(first, second, atol=0.01, rtol=0)


def test_spherical_interpolation_keeps_the_variance_of_noise() -> None:
    start, end = (torch.randn(1, 3, 32, 32, generator=make_generator(3, "end", i), dtype=torch.float64) for i in (0, 1))
    noises = slerp(start, end, torch.linspace(0, 1, 5))
    torch.testing.assert_close(noises[[0, -1]], torch.cat([start, end]))
    assert noises.std((1, 2, 3)).tolist() == pytest.approx([1.0] * 5, rel=0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Denoiser, torch.Tensor]:
    """The denoiser of a network after 60 steps of training, and six of its faces as whitened images."""
    prepare_device(1)
    network = train_tiny(tmp_path_factory.mktemp("work"), steps=60, lr=4e-3, ema_half_life=200.0).network
    return make_denoiser(network.eval(), make_spec(), CPU), make_spec().whiten(make_faces(6))


@torch.inference_mode()
def test_fixed_point_iterations_make_the_round_trip_of_a_trained_network_exact(
    trained: tuple[Denoiser, torch.Tensor],
) -> None:
    denoiser, x0 = trained
    timesteps, errors = space_log_snr(denoiser.schedule, 25), []
    for iterations in (0, INVERSION_ITERATIONS):
        decoded = decode_ddim(denoiser, invert_ddim(denoiser, x0, timesteps, iterations), timesteps)
        errors.append(255 * make_spec().std * (decoded - x0).square().mean((1, 2, 3)).sqrt())
    explicit, implicit = errors
    assert implicit.median() < 2 and implicit.median() < explicit.median() / 2


@torch.inference_mode()
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_sdedit_with_a_trained_network_keeps_the_image_at_strength_0_and_forgets_it_at_strength_1(
    trained: tuple[Denoiser, torch.Tensor], sampler: str
) -> None:
    denoiser, x0 = trained
    timesteps, noise = space_trailing(denoiser.schedule, 20), torch.randn(x0.shape, generator=make_generator(0, "edit"))
    changes, differences = [], []
    for strength in (0.0, 0.25, 0.5, 1.0):
        edit, other = (
            apply_sdedit(denoiser, images, strength, timesteps, get_sampler(sampler, 0.0), repeat_noise(noise))
            for images in (x0, x0.flip(0))
        )
        changes.append(float((edit - x0).square().mean().sqrt()))
        differences.append(float((edit - other).square().mean().sqrt()))
        # Predictions are clipped to black and white.
        black, white = (make_spec().whiten(torch.full_like(make_faces(6), shade)) for shade in (0, 255))
        assert (edit >= black - 1e-4).all() and (edit <= white + 1e-4).all()
    assert changes[0] == 0 and changes == sorted(changes)
    assert differences == sorted(differences, reverse=True) and differences[-1] < 0.05 * differences[0]


def run_transform(root: Path, **changes: Any) -> Job[Params]:
    """Train a network for four steps, run the stage with it, and return the stage's job."""
    root.mkdir(exist_ok=True)
    prepare_device(1)
    model.save_model(root / "model.safetensors", train_tiny(root / "work", steps=4).network, make_spec())
    shards.write_faces(root / "faces", "held_out", make_faces(5))
    params: dict[str, Any] = {"transform_faces": 3, "transform_strengths": [0.0, 0.5, 1.0], "transform_steps": 6}
    job = Job(
        params=Params(**{**params, "transform_between": 4, "transform_seed": 0, **changes}),
        inputs={"data/faces": root / "faces", "results/model.safetensors": root / "model.safetensors"},
        outputs={"results/transformed.safetensors": root / "transformed.safetensors"},
        work=root / "work",
        threads=1,
    )
    transform.run(job)
    return job


def test_the_stage_varies_faces_by_strength_and_records_the_round_trip_errors(tmp_path: Path) -> None:
    job = run_transform(tmp_path)
    edits = load_file(tmp_path / "transformed.safetensors")
    assert torch.equal(edits["faces"], make_faces(5)[:3]) and torch.equal(edits["varied"][:, 0], edits["faces"])
    distances = (edits["varied"].float() - edits["faces"][:, None].float()).square().mean((0, 2, 3, 4))
    assert distances[1] < distances[2]
    errors = (edits["there_and_back"].double() - edits["faces"].double()).square().mean((1, 2, 3)).sqrt()
    assert job.facts["round_trip_grey_levels"] == edits["errors"].tolist() == pytest.approx(errors.tolist(), abs=1e-3)
    # `omokage transform` uses the same editor.
    varied = ImageEditor(tmp_path / "model.safetensors", 6, 1).vary(make_faces(5)[:3], 0.5, "ddpm", 0)
    assert torch.equal(varied, edits["varied"][:, 1])


def make_editor(folder: Path, steps: int) -> ImageEditor:
    """Return an editor whose denoiser is that of a Gaussian, since an untrained network cannot be inverted."""
    model.save_model(folder / "model.safetensors", create_network(make_spec(), 0), make_spec())
    editor = ImageEditor(folder / "model.safetensors", steps, 1)
    editor.denoiser = make_ideal_denoiser("v", editor.denoiser.schedule)
    return editor


def test_an_interpolation_of_two_images_starts_and_ends_with_them(tmp_path: Path) -> None:
    editor, faces = make_editor(tmp_path, 50), make_faces(2)
    images, errors = editor.interpolate(faces[:1], faces[1:], 5)
    ends = (images[[0, -1]].double() - faces.double()).square().mean((1, 2, 3)).sqrt()
    assert errors == pytest.approx(ends.tolist(), abs=1e-3) and max(errors) < 2
    assert (images[2].float() - images[[0, -1]].float()).abs().mean((1, 2, 3)).min() > 10
    assert max(editor.round_trip(faces)[2]) < 2


def test_too_few_steps_or_images_for_an_interpolation_are_errors(tmp_path: Path) -> None:
    editor, faces = make_editor(tmp_path, 1), make_faces(2)
    with pytest.raises(UserError, match="1 step: expected at least 2 for DDIM inversion"):
        editor.round_trip(faces)
    with pytest.raises(UserError, match="expected at least 2, since both ends are included"):
        editor.interpolate(faces[:1], faces[1:], 1)
    editor.vary(faces, 0.5, "ddim", 0)


def test_an_editor_with_more_steps_than_the_model_has_timesteps_is_an_error(tmp_path: Path) -> None:
    model.save_model(tmp_path / "model.safetensors", train_tiny(tmp_path / "work", steps=1).network, make_spec())
    with pytest.raises(UserError, match="51 steps: expected at most 50, the model's number of timesteps"):
        ImageEditor(tmp_path / "model.safetensors", 51, 1)


def test_edits_in_channels_last_layout_differ_only_by_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_transform(tmp_path / "contiguous")
    for module in (model, image_editor):
        monkeypatch.setattr(module, "choose_memory_format", lambda device: torch.channels_last)
    run_transform(tmp_path / "channels last")
    contiguous, channels_last = (
        load_file(tmp_path / layout / "transformed.safetensors") for layout in ("contiguous", "channels last")
    )
    assert contiguous.keys() == channels_last.keys()
    for name, expected in contiguous.items():
        assert (channels_last[name].float() - expected.float()).abs().mean() < 2


def test_an_interpolation_of_seeds_has_the_same_ends_for_any_number_of_images(tmp_path: Path) -> None:
    interpolations = []
    runs: dict[str, dict[str, int]] = {"a": {}, "b": {"transform_between": 2}, "c": {"transform_seed": 1}}
    for name, changes in runs.items():
        run_transform(tmp_path / name, **changes)
        interpolations.append(load_file(tmp_path / name / "transformed.safetensors")["between"])
    assert interpolations[0].shape == (transform.PAIRS, 4, 3, 16, 16)
    # In a batch of another size sums may be rounded differently, which can change a grey level by one.
    assert (interpolations[0][:, [0, -1]].int() - interpolations[1].int()).abs().max() <= 1
    assert not torch.equal(interpolations[0], interpolations[2])
