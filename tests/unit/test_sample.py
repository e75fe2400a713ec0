"""The stage `sample`: its sets from snapshots and for the study equal runs with those weights and samplers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.clone import tiny_params
from support.training import CPU, make_spec, train_tiny
from torch import Tensor

from omokage.base.errors import UserError
from omokage.base.job import Job
from omokage.diffusion import model, posthoc_ema
from omokage.diffusion.unet import UNet
from omokage.params.sample import Params
from omokage.sampling import batches, generator
from omokage.sampling.sample_sets import load_sample_sets
from omokage.stages import sample

SETS = ("samples", "frames", "counterpart", "progress", "study")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model after six steps, its snapshots, and what the stage generates from them."""
    folder = tmp_path_factory.mktemp("trained")
    result = train_tiny(folder / "work", steps=6, lr=4e-3)
    model.save_model(folder / "model.safetensors", result.network, make_spec())
    posthoc_ema.save_snapshots(folder / "snapshots.safetensors", result.snapshots)
    run_sample(folder, folder)
    return folder


def run_sample(trained: Path, folder: Path, weights: Mapping[str, Tensor] | None = None, **changes: Any) -> Tensor:
    """Run the stage with the tests' parameters and `changes`, write its outputs to `folder`, and return the samples.

    With `weights`, the model gets these instead of its own.
    """
    sample.run(make_job(trained, folder, weights, **changes))
    return load_file(folder / "samples")["samples"]


def make_job(trained: Path, folder: Path, weights: Mapping[str, Tensor] | None = None, **changes: Any) -> Job[Params]:
    """Return the job of `run_sample`."""
    folder.mkdir(exist_ok=True)
    network, spec = model.load_model(trained / "model.safetensors", CPU)
    network = model.copy_with_weights(network, weights) if weights else network
    model.save_model(folder / "input.safetensors", network, spec)
    values = tiny_params(**changes)
    params = Params.model_validate({key: values[key] for key in Params.model_fields})
    inputs = {"results/model.safetensors": folder / "input.safetensors"}
    inputs["results/snapshots.safetensors"] = trained / "snapshots.safetensors"
    outputs = {f"results/{name}.safetensors": folder / name for name in SETS}
    return Job(params, inputs, outputs, folder / "sampling", threads=1)


def test_sets_from_snapshots_use_the_same_seeds_without_guidance(trained: Path, tmp_path: Path) -> None:
    sets = load_sample_sets(trained / "progress")
    steps = posthoc_ema.list_snapshot_steps(trained / "snapshots.safetensors")
    assert [label for label, _ in sets] == [{"step": step} for step in steps] and len(steps) > 1
    for label, samples in (sets[0], sets[-1]):
        weights = posthoc_ema.load_nearest_snapshot(trained / "snapshots.safetensors", label["step"] / steps[-1])
        folder = tmp_path / str(label["step"])
        expected = run_sample(trained, folder, weights, guidance_scale=1.0, progress_samples=0)
        assert torch.equal(samples, expected[: tiny_params()["progress_samples"]])
        assert load_sample_sets(folder / "progress") == []
    assert not torch.equal(sets[0][1], sets[-1][1])


def test_the_steps_at_which_the_guiding_model_is_evaluated_are_counted(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[bool, int] = {}

    class CountingUNet(UNet):
        def forward(self, x: Tensor, angle: Tensor, keys: Tensor | None = None) -> Tensor:
            counts[self is network] = counts.get(self is network, 0) + 1
            return super().forward(x, angle, keys)

    changes: dict[str, Any] = {"sampler": "ddpm", "guidance_scale": 2.0, "guidance_min_log_snr": 0.0}
    job = make_job(trained, tmp_path / "job", samples=2, progress_samples=0, sample_steps=4, **changes)
    sampler = batches.BatchSampler(job)
    network = sampler.network
    network.__class__ = CountingUNet
    sampler.generate("samples", 0)
    guided = sample._count_guided_steps(sampler)
    assert (counts[True], counts[False]) == (4, guided) and 0 < guided < 4


def test_samples_in_channels_last_layout_differ_only_by_rounding(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (model, generator):
        monkeypatch.setattr(module, "choose_memory_format", lambda device: torch.channels_last)
    samples, expected = run_sample(trained, tmp_path / "channels last"), load_file(trained / "samples")["samples"]
    # The rounding differs in every layer and at every step.
    assert (samples.float() - expected.float()).abs().mean() < 2


def test_each_set_of_the_study_equals_a_run_with_its_weights_and_sampler(trained: Path, tmp_path: Path) -> None:
    study = ["raw/ddim:3", "dpm-solver++:4", "posthoc/heun:3"]
    samples = run_sample(trained, tmp_path / "study", sampler_study=study, progress_samples=0)
    assert torch.equal(samples, load_file(trained / "samples")["samples"])
    sets = load_sample_sets(tmp_path / "study" / "study")
    assert [tuple(label.values()) for label, _ in sets] == [
        ("raw", "ddim", 3), ("ema", "dpm-solver++", 4), ("posthoc", "heun", 3)
    ]  # fmt: skip
    snapshots = trained / "snapshots.safetensors"
    weights = [
        posthoc_ema.load_raw_weights(snapshots),
        None,
        posthoc_ema.synthesise_ema(snapshots, tiny_params()["ema_sigma_rel"]),
    ]
    for (label, set_samples), set_weights in zip(sets, weights, strict=True):
        changes = {"sampler": label["sampler"], "sample_steps": label["evaluations"], "progress_samples": 0}
        expected = run_sample(trained, tmp_path / label["weights"], set_weights, **changes)
        assert torch.equal(set_samples, expected)


def test_the_counterpart_has_the_same_seeds_from_ddim_next_to_ddpm_and_from_ddpm_next_to_others(
    trained: Path, tmp_path: Path
) -> None:
    for own, other in (("ddpm", "ddim"), ("ddim", "ddpm")):
        run_sample(trained, tmp_path / own, sampler=own, progress_samples=0)
        expected = run_sample(trained, tmp_path / f"{own} next to it", sampler=other, progress_samples=0)
        ((label, samples),) = load_sample_sets(tmp_path / own / "counterpart")
        assert label == {"weights": "ema", "sampler": other, "evaluations": tiny_params()["sample_steps"]}
        assert torch.equal(samples, expected[: batches.COUNTERPART_IMAGES])
        assert not torch.equal(samples, load_file(tmp_path / own / "samples")["samples"][: len(samples)])


def test_raw_weights_are_those_of_the_last_step(trained: Path) -> None:
    raw = posthoc_ema.load_raw_weights(trained / "snapshots.safetensors")
    averaged = load_file(trained / "model.safetensors")
    assert raw.keys() == averaged.keys()
    difference = max(float((raw[name] - averaged[name]).abs().max()) for name in raw)
    # After six steps the EMA is close to the last step's weights, because its half-life is a tenth of the steps so far.
    assert 0 < difference < 2e-3


def test_at_most_micro_batch_images_are_denoised_at_once(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: set[int] = set()
    forward = UNet.forward

    def record(self: UNet, x: Tensor, *rest: Any) -> Tensor:
        sizes.add(len(x))
        return forward(self, x, *rest)

    monkeypatch.setattr(UNet, "forward", record)
    monkeypatch.setenv("OMOKAGE_MICRO_BATCH", "5")
    run_sample(trained, tmp_path)
    assert sizes == {5, 2}  # 32 images
    for name in SETS:
        whole, split = load_file(trained / name), load_file(tmp_path / name)
        # Rounding can move a value across the limit between two grey levels.
        for key, images in whole.items():
            torch.testing.assert_close(split[key].int(), images.int(), atol=1, rtol=0)


def test_a_post_hoc_ema_that_the_snapshots_cannot_give_stops_the_stage(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ema_sigma_rel = 0\.01: "):
        run_sample(trained, tmp_path, ema_sigma_rel=0.01, ema_kind="posthoc")
    run_sample(trained, tmp_path, ema_sigma_rel=0.01, sampler_study=[])
