"""The training at half the image size, and the whole network that starts with its weights."""

import os
import signal
from pathlib import Path

import pytest
import torch
from support.training import COMPUTE, CPU, have_same_weights, make_config, make_faces, make_spec
from torch import Tensor, nn

from omokage.base.errors import Interrupted, UserError
from omokage.compute.seeding import make_generator
from omokage.diffusion.model import load_model, save_model
from omokage.diffusion.unet import UNet, halve_noisy_images
from omokage.training.half_size import choose_batch_size, halve_faces, halve_spec, insert_weights, train_inner_levels
from omokage.training.setup import TrainingSetup
from omokage.training.trainer import Row, create_network

pytestmark = pytest.mark.usefixtures("use_one_thread")
SPEC = make_spec(half_size_input=True)


def test_a_noisy_image_at_half_the_size_has_a_quarter_of_the_noise_variance_and_is_rescaled() -> None:
    angle = torch.tensor([0.0, 0.7, 1.5, torch.pi / 2])
    clean = torch.full((4, 3, 64, 64), 2.0)
    noise = torch.randn(clean.shape, generator=make_generator(0, "noise"))
    x = angle.cos().view(-1, 1, 1, 1) * clean + angle.sin().view(-1, 1, 1, 1) * noise
    half, half_angle = halve_noisy_images(x, angle)
    assert half.shape == (4, 3, 32, 32)
    torch.testing.assert_close(half.mean((1, 2, 3)), 2 * half_angle.cos(), atol=0.05, rtol=0)
    torch.testing.assert_close(half.std((1, 2, 3)), half_angle.sin(), atol=0.03, rtol=0)


def test_the_schedule_at_half_the_size_has_the_noise_levels_that_the_whole_network_passes_on() -> None:
    whole, half = SPEC.make_schedule().to(CPU).angle, halve_spec(SPEC).make_schedule().to(CPU).angle
    torch.testing.assert_close(halve_noisy_images(torch.zeros(len(whole), 3, 2, 2), whole)[1], half)


def test_the_inner_levels_of_the_whole_network_first_compute_what_they_did_at_half_the_size() -> None:
    half, whole = UNet(halve_spec(SPEC).architecture).eval(), create_network(SPEC, 0).eval()
    for weight in half.parameters():  # the last layers of blocks are zero at first, and would hide differences
        nn.init.normal_(weight, std=0.1, generator=make_generator(weight.numel(), "test"))
    whole.load_state_dict(insert_weights(whole.state_dict(), half.state_dict(), 1))
    features: list[Tensor] = []
    for layer in (half.up[-1], whole.up[len(half.up) - 1]):
        layer.register_forward_hook(lambda _layer, _inputs, output: features.append(output))
    x, angle = torch.randn(2, 3, 16, 16, generator=make_generator(0, "x")), torch.tensor([0.3, 1.2])
    with torch.no_grad():
        half(*halve_noisy_images(x, angle))
        whole(x, angle)
    first, second = features
    assert first.std() > 0.01
    torch.testing.assert_close(first, second)


def test_training_at_half_the_size_resumes_to_the_same_weights(tmp_path: Path) -> None:
    rows: list[Row] = []

    def train(folder: str, stop_after: int | None = None) -> dict[str, Tensor]:
        def log(row: Row) -> None:
            rows.append(row)
            if row["step"] == stop_after:
                os.kill(os.getpid(), signal.SIGTERM)

        config = make_config(keep_best=True)
        return train_inner_levels(make_faces(), SPEC, config, 12, COMPUTE, tmp_path / folder, log)

    expected = train("uninterrupted")
    uninterrupted = [rows.pop(0) for _ in range(len(rows))]
    with pytest.raises(Interrupted, match="stopped after step 6"):
        train("interrupted", stop_after=6)
    rows.clear()
    resumed = train("interrupted")
    assert rows == uninterrupted and [row["lr"] for row in rows][1:] == [1e-3] * 3
    assert all(torch.equal(resumed[name], weight) for name, weight in expected.items())
    name = "middle.0.residual.conv1.weight"
    assert not torch.equal(expected[name], create_network(SPEC, 0).state_dict()[name])


def test_an_interruption_after_the_steps_at_half_the_size_does_not_repeat_them(tmp_path: Path) -> None:
    setup = TrainingSetup(SPEC, make_config(), COMPUTE, make_faces(), make_faces(), None, 12)
    half_size_rows: list[Row] = []

    def interrupt(row: Row) -> None:
        if row["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="stopped after step 3"):
        setup.train(tmp_path / "a", 1, interrupt, lambda row: None)
    (checkpoint,) = (tmp_path / "a").glob("*/half-size/000000012.ckpt")
    before = checkpoint.stat().st_mtime_ns
    resumed = setup.train(tmp_path / "a", 1, lambda row: None, half_size_rows.append)
    assert [row["step"] for row in half_size_rows] == [3, 6, 9, 12] and checkpoint.stat().st_mtime_ns == before
    expected = setup.train(tmp_path / "b", 1, lambda row: None, lambda row: None)
    assert have_same_weights(resumed.network, expected.network)


def test_given_weights_replace_the_steps_at_half_the_size(tmp_path: Path) -> None:
    weights = create_network(SPEC, 3).state_dict()
    setup = TrainingSetup(SPEC, make_config(), COMPUTE, make_faces(), make_faces(), weights, 12)
    half_size_rows: list[Row] = []
    setup.train(tmp_path, 1, lambda row: None, half_size_rows.append)
    assert half_size_rows == []


def test_faces_at_half_the_size_are_means_of_four_pixels() -> None:
    faces = torch.tensor([[0, 1], [2, 255]], dtype=torch.uint8).repeat(3, 3, 2, 2)
    halves = halve_faces(faces)
    assert halves.shape == (3, 3, 2, 2) and halves.dtype == torch.uint8
    assert halves.unique().tolist() == [64]  # of 64.5: to even


def test_a_model_file_keeps_the_input_at_half_the_size(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, create_network(SPEC, 0), SPEC)
    assert load_model(path, CPU)[1] == SPEC


def test_too_few_faces_stop_the_training_before_the_first_step(tmp_path: Path) -> None:
    config = make_config(batch_size=20)
    with pytest.raises(UserError, match="batch_size = 20, but the training set has only 19 faces"):
        train_inner_levels(make_faces(19), SPEC, config, 12, COMPUTE, tmp_path, lambda row: None)
    assert not list(tmp_path.iterdir())
    assert choose_batch_size(config, 24) == 24 and choose_batch_size(config, 100) == 40
