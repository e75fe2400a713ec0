"""The library: `omokage.load`, and the methods of the model that it returns."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.training import make_faces, make_spec, train_tiny

import omokage
from omokage.base.errors import UserError
from omokage.config.params_file import default_params
from omokage.diffusion import posthoc_ema
from omokage.diffusion.model import HEADER_KEY, save_model
from omokage.editing.image_editor import ImageEditor
from omokage.library.settings import Settings
from omokage.training.trainer import create_network

FAST: dict[str, Any] = {"steps": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model after six steps, and its snapshots."""
    folder = tmp_path_factory.mktemp("model")
    result = train_tiny(folder / "work", steps=6, lr=4e-3)
    save_model(folder / "model.safetensors", result.network, make_spec())
    posthoc_ema.save_snapshots(folder / "snapshots.safetensors", result.snapshots)
    return folder


def rewrite_header(source: Path, target: Path, **changes: Any) -> None:
    """Copy a model file with changes in the description of the model."""
    with safe_open(source, "pt") as file:
        header = {**json.loads(file.metadata()[HEADER_KEY]), **changes}
    save_file(load_file(source), target, metadata={HEADER_KEY: json.dumps(header)})


@pytest.fixture
def model(folder: Path) -> omokage.Model:
    return omokage.load(folder / "model.safetensors", threads=1)


@pytest.fixture
def lone_model(folder: Path, tmp_path: Path) -> omokage.Model:
    """The same model without snapshots next to it."""
    path = tmp_path / "copy.safetensors"
    path.write_bytes((folder / "model.safetensors").read_bytes())
    return omokage.load(str(path), device="cpu", threads=1)


def test_samples_depend_only_on_their_seed_and_number(model: omokage.Model) -> None:
    samples = model.sample(6, seed=3, **FAST)
    assert samples.shape == (6, 3, 16, 16) and samples.dtype == torch.uint8
    assert torch.equal(model.sample(6, seed=3, **FAST), samples)
    assert not torch.equal(model.sample(6, seed=4, **FAST), samples)
    for part in (model.sample(2, seed=3, start=4, **FAST), model.sample(6, seed=3, batch=4, **FAST)[4:]):
        torch.testing.assert_close(part.int(), samples[4:].int(), atol=1, rtol=0)
    samples[0] = 0  # results are ordinary tensors


def test_the_defaults_are_those_of_the_pipeline(model: omokage.Model) -> None:
    settings = Settings.select(default_params())
    assert torch.equal(model.sample(2), model.make_generator(settings, 2).generate(range(2))[0])


def test_guidance_is_used_if_there_are_snapshots(model: omokage.Model, lone_model: omokage.Model) -> None:
    guided, unguided = model.sample(2, **FAST), model.sample(2, guidance=1, **FAST)
    assert torch.equal(guided, model.sample(2, guidance=2, **FAST)) and not torch.equal(guided, unguided)
    assert torch.equal(lone_model.sample(2, **FAST), unguided)
    assert "with snapshots" in repr(model) and "without snapshots" in repr(lone_model)


def test_the_frames_of_a_denoising_end_with_the_samples(model: omokage.Model) -> None:
    steps = model.denoise_steps(2, sampler="ddim", eta=0.5, **FAST)
    assert len(steps) == 4 and steps[0].t == model.spec.timesteps - 1
    assert all(x.shape == (2, 3, 16, 16) and x.dtype == torch.uint8 for step in steps for x in (step.x_t, step.x0))
    assert torch.equal(steps[-1].x0, model.sample(2, sampler="ddim", eta=0.5, **FAST))


def test_an_edit_is_the_variation_of_the_editor(model: omokage.Model, folder: Path) -> None:
    faces = make_faces(3)
    expected = ImageEditor(folder / "model.safetensors", 6, 1).vary(faces, 0.5, "ddpm", 7)
    edited = model.edit(faces, strength=0.5, seed=7, steps=6)
    assert torch.equal(edited, expected)
    assert torch.equal(model.edit(faces, strength=0.0), faces)
    torch.testing.assert_close(model.edit(faces, seed=7, steps=6, batch=2).int(), edited.int(), atol=1, rtol=0)
    assert not torch.equal(model.edit(faces, seed=7, steps=6, guidance=3.0), edited)


def test_an_interpolation_goes_from_the_sample_of_one_seed_to_that_of_another(model: omokage.Model) -> None:
    images = model.interpolate(1, 2, 5, **FAST)
    ends = torch.cat([model.sample(1, seed=seed, sampler="ddim", **FAST) for seed in (1, 2)])
    torch.testing.assert_close(images[[0, -1]].int(), ends.int(), atol=1, rtol=0)
    assert not torch.equal(images[2], images[0])


def test_images_become_pillow_images_and_a_grid() -> None:
    faces = make_faces(5)
    assert [image.size for image in omokage.to_pil(faces)] == [(16, 16)] * 5
    assert torch.equal(torch.frombuffer(bytearray(omokage.to_pil(faces)[2].tobytes()), dtype=torch.uint8),
                       faces[2].permute(1, 2, 0).flatten())  # fmt: skip
    assert omokage.to_grid(faces).size == (3 * 100 - 4, 2 * 100 - 4)
    assert omokage.to_grid(faces, columns=5).size == (5 * 100 - 4, 96)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 51}, "51 steps: expected at most 50, the model's number of timesteps"),
        ({"steps": 0}, "steps = 0: expected 1 to 50"),
        ({"sampler": "euler"}, r"sampler = 'euler': expected ddpm, ddpm-large, ddim, dpm-solver\+\+, heun"),
        ({"spacing": "even"}, "spacing = 'even': expected early, trailing, leading, log-snr"),
        ({"guidance": 0.5}, "guidance = 0.5: expected 1 to 10"),
        ({"eta": 0.5}, "eta = 0.5 with sampler = 'ddpm': only ddim uses eta"),
        ({"eta": 2, "sampler": "ddim"}, "eta = 2: expected 0 to 1"),
        ({"seed": -1}, "seed = -1: expected 0 to 4294967295"),
        ({"batch": 0}, "batch = 0: expected at least 1"),
        ({"start": -1}, "n = 1, start = -1: expected n of at least 1"),
        ({"n": 0}, "n = 0, start = 0: expected n of at least 1"),
        ({"guidance": 2}, r"guidance = 2 needs the snapshots of the training: put snapshots.safetensors next to"),
    ],
)
def test_options_that_the_model_cannot_use_are_errors(
    lone_model: omokage.Model, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        lone_model.sample(**{"n": 1, **options})


def test_wrong_images_are_errors(model: omokage.Model) -> None:
    for images, text in (
        (make_faces(2).float(), r"float32 \[2, 3, 16, 16\]"),
        (make_faces(2)[0], r"uint8 \[3, 16, 16\]"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), r"uint8 \[1, 3, 32, 32\]"),
    ):
        with pytest.raises(UserError, match=rf"^images are {text}: expected uint8 \[n, 3, 16, 16\]"):
            model.edit(images)
    with pytest.raises(UserError, match=r"expected uint8 \[n, 3, height, width\]"):
        omokage.to_grid(make_faces(0))
    with pytest.raises(UserError, match=r"strength = 1\.5: expected 0 to 1"):
        model.edit(make_faces(1), strength=1.5)
    with pytest.raises(UserError, match="count = 1: expected at least 2"):
        model.interpolate(1, 2, 1)


def test_a_model_of_eps_does_not_start_from_pure_noise(tmp_path: Path) -> None:
    spec = make_spec(prediction="eps")
    path = tmp_path / "model.safetensors"
    save_model(path, create_network(spec, 0), spec)
    omokage.load(path).sample(1, **FAST)
    rewrite_header(path, path, zero_snr=True)
    model = omokage.load(path)
    with pytest.raises(UserError, match=r"predicts eps, and its schedule has zero SNR at timestep 49.*spacing leading"):
        model.sample(1, **FAST)
    model.sample(1, spacing="leading", **FAST)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "there is no such file: expected a trained model"),
        (".", "is not a file: expected a trained model"),
        ("text", "is not a safetensors file"),
        ("snapshots.safetensors", "does not contain an Omokage model"),
        ("timesteps.safetensors", r"is not a model of this version, or cannot be loaded on cpu \(.*str"),
        ("mean.safetensors", "is not a model of this version, or cannot be loaded on cpu"),
    ],
)
def test_a_file_that_is_no_model_is_an_error(folder: Path, name: str, message: str) -> None:
    (folder / "text").write_text("no model")
    rewrite_header(folder / "model.safetensors", folder / "timesteps.safetensors", timesteps="many")
    rewrite_header(folder / "model.safetensors", folder / "mean.safetensors", mean="grey")
    with pytest.raises(UserError, match=message) as error:
        omokage.load(folder / name, device="cpu")
    assert "\n" not in str(error.value)


def test_a_foreign_file_of_snapshots_is_an_error(lone_model: omokage.Model, folder: Path, tmp_path: Path) -> None:
    for content in ((folder / "model.safetensors").read_bytes(), b"no snapshots"):
        (tmp_path / "snapshots.safetensors").write_bytes(content)
        model = omokage.load(tmp_path / "copy.safetensors")
        with pytest.raises(UserError, match="does not hold the snapshots of a training"):
            model.sample(1, **FAST)
        model.sample(1, guidance=1, **FAST)
