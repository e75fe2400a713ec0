"""The sample stage: what it draws from snapshots and for a study is what a run of its own would draw that way."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Clone, tiny
from safetensors.torch import load_file
from torch import Tensor

from omokage import model, posthoc, series
from omokage.job import Job
from omokage.params.sample import Params
from omokage.stages import sample

CPU = torch.device("cpu")


@pytest.fixture
def trained(finished: Clone) -> Path:
    return finished.root / "results"


def draw(trained: Path, place: Path, weights: Mapping[str, Tensor] | None = None, **changes: Any) -> Tensor:
    """Run the stage as the tests' parameters, with changes, say, on the trained model or on other weights of it.

    Its outs lie in `place`; returns the samples.
    """
    place.mkdir()
    network, spec = model.load(trained / "model.safetensors", CPU)
    model.save(place / "model.safetensors", model.with_weights(network, weights) if weights else network, spec)
    values = tiny(**changes)
    params = Params.model_validate({key: values[key] for key in Params.model_fields})
    inputs = {"results/model.safetensors": place / "model.safetensors"}
    inputs["results/snapshots.safetensors"] = trained / "snapshots.safetensors"
    outputs = {f"results/{out}.safetensors": place / out for out in ("samples", "frames", "progress", "study")}
    sample.run(Job(params, inputs, outputs, place / "work", threads=1))
    return load_file(place / "samples")["samples"]


def test_snapshots_draw_from_the_same_seeds_without_guidance(trained: Path, tmp_path: Path) -> None:
    drawn = series.load(trained / "progress.safetensors")
    steps = posthoc.course(trained / "snapshots.safetensors")
    assert [way for way, _ in drawn] == [{"step": step} for step in steps] and len(steps) > 1
    for way, pictures in (drawn[0], drawn[-1]):
        weights = posthoc.earlier(trained / "snapshots.safetensors", way["step"] / steps[-1])
        alone = draw(trained, tmp_path / str(way["step"]), weights, guidance=1.0, progress_samples=0)
        assert torch.equal(pictures, alone[: tiny()["progress_samples"]])
    assert not torch.equal(drawn[0][1], drawn[-1][1])
    assert series.load(tmp_path / str(steps[0]) / "progress") == []


def test_what_a_gpu_draws_in_another_layout_is_filed_as_ever(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (model, sample):
        monkeypatch.setattr(module, "memory_format", lambda device: torch.channels_last)
    drawn, usual = draw(trained, tmp_path / "drawn"), load_file(trained / "samples.safetensors")["samples"]
    # Sums in another order, over and over.
    assert (drawn.float() - usual.float()).abs().mean() < 2


def test_a_study_draws_each_way_as_a_run_of_its_own(trained: Path, tmp_path: Path) -> None:
    study = ["raw/ddim:3", "dpm-solver++:4", "posthoc/heun:3"]
    samples = draw(trained, tmp_path / "all", study=study, progress_samples=0)
    assert torch.equal(samples, load_file(trained / "samples.safetensors")["samples"])
    drawn = series.load(tmp_path / "all" / "study")
    assert [tuple(way.values()) for way, _ in drawn] == [
        ("raw", "ddim", 3), ("ema", "dpm-solver++", 4), ("posthoc", "heun", 3)
    ]  # fmt: skip
    snapshots = trained / "snapshots.safetensors"
    weights = [posthoc.raw(snapshots), None, posthoc.combined(snapshots, tiny()["ema_length"])]
    for (way, pictures), its in zip(drawn, weights, strict=True):
        changes = {"sampler": way["sampler"], "sample_steps": way["evaluations"], "progress_samples": 0}
        assert torch.equal(pictures, draw(trained, tmp_path / way["weights"], its, **changes))


def test_raw_weights_are_those_of_the_last_step(trained: Path) -> None:
    raw, averaged = posthoc.raw(trained / "snapshots.safetensors"), load_file(trained / "model.safetensors")
    assert raw.keys() == averaged.keys()
    apart = max(float((raw[name] - averaged[name]).abs().max()) for name in raw)
    # After six steps the average, which forgets all but a tenth of the past, is the last step's but for float16.
    assert 0 < apart < 2e-3
