"""Exhausted memory ends in one line that says what to lower, and every stage with a network obeys `micro_batch`."""

import errno
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.training import COMPUTE, CPU, make_faces, make_spec
from torch import Tensor, nn

from omokage.base.errors import UserError
from omokage.base.memory import describe_out_of_memory, explain_out_of_memory
from omokage.compute.micro_batch import explain_large_batch
from omokage.diffusion import model
from omokage.editing.image_editor import ImageEditor
from omokage.evaluation.features.extractors import Extractor
from omokage.pipeline.graph import read_stages
from omokage.pipeline.memory_remedies import TO_LOWER
from omokage.training.trainer import create_network
from omokage.training.validation import measure_loss_by_noise_level

SUPPORT = Path(__file__).parents[1] / "support"
CUDA = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.72 GiB"


def fail_in_numpy() -> None:
    np.empty(2**55)


def fail_in_torch() -> None:
    torch.empty(2**50)


@pytest.mark.parametrize("fail", [fail_in_numpy, fail_in_torch])
def test_an_allocation_that_fails_is_one_line(fail: Any) -> None:
    message = r"^out of memory on this machine \(allocating [\d.]+ [GP]iB\): buy more$"
    with pytest.raises(UserError, match=message), explain_out_of_memory("buy more"):
        fail()


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (torch.OutOfMemoryError(CUDA), "out of memory on the GPU (allocating 20.00 GiB)"),
        (RuntimeError("CUDA error: out of memory"), "out of memory on the GPU"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "out of memory on the GPU",
        ),
        (RuntimeError("std::bad_alloc"), "out of memory on this machine"),
        (MemoryError(), "out of memory on this machine"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory on this machine"),
        (BrokenProcessPool("ended"), "a worker process was killed, as the system does when memory runs out"),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), None),
        (OSError(errno.ENOSPC, "No space left on device"), None),
        (KeyError("out of memory"), None),
    ],
)
def test_only_errors_about_memory_are_described(error: Exception, description: str | None) -> None:
    assert describe_out_of_memory(error) == description


def test_a_batch_that_does_not_fit_names_its_size_and_a_smaller_one() -> None:
    message = (
        "out of memory on the GPU (allocating 20.00 GiB) while training on 64 images of 32 x 32 pixels at once: set "
        "micro_batch: 32 or less in the configfile of a profile, or OMOKAGE_MICRO_BATCH=32"
    )
    with pytest.raises(UserError) as raised, explain_large_batch("training on", 64, 32):
        raise torch.OutOfMemoryError(CUDA)
    assert str(raised.value) == message
    message = "on one image of 64 x 64 pixels at once: use a machine with more memory, or"
    with pytest.raises(UserError, match=message), explain_large_batch("training on", 1, 64):
        raise MemoryError


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of the address space is that of Linux")
def test_every_computation_that_does_not_fit_ends_in_one_line(tmp_path: Path) -> None:
    script = [sys.executable, str(SUPPORT / "exhausted_memory.py"), str(tmp_path)]
    environment = {
        "PYTHONPATH": ":".join([str(SUPPORT.parents[1] / "src"), str(SUPPORT.parent)]),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    works = ["training on 48", "measuring the error on 48", "varying 48", "computing the features of 8"]
    assert len(lines) == len(works), lines
    for line, work in zip(lines, works, strict=True):
        assert line.startswith("out of memory on this machine (allocating ") and f") while {work} images" in line, line
        assert "set micro_batch: " in line


def test_the_remedies_belong_to_stages() -> None:
    assert set(TO_LOWER) <= set(read_stages(SUPPORT.parents[1]))


def record_batches(network: nn.Module) -> list[int]:
    """Return a list to which every call of the network adds the number of its images."""
    sizes: list[int] = []
    network.register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    return sizes


def test_the_measurements_of_a_training_process_at_most_micro_batch_images_at_once() -> None:
    network, spec, faces = create_network(make_spec(), 0), make_spec(), make_faces(24)
    nn.init.normal_(network.last[-1].get_parameter("weight"))
    sizes, errors = record_batches(network), []
    for micro_batch in (None, 7):
        compute = replace(COMPUTE, micro_batch=micro_batch)
        errors.append(measure_loss_by_noise_level(network, spec, faces, compute, 2, 0))
    assert sizes == [24] * 2 + [7, 7, 7, 3] * 2
    assert errors[1] == pytest.approx(errors[0], rel=1e-5)


def test_an_editor_processes_at_most_micro_batch_images_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = create_network(make_spec(), 0)
    nn.init.normal_(network.last[-1].get_parameter("weight"), std=0.1)
    model.save_model(tmp_path / "model.safetensors", network, make_spec())
    faces, edits = make_faces(5), []
    for micro_batch in (None, 2):
        if micro_batch:
            monkeypatch.setenv("OMOKAGE_MICRO_BATCH", str(micro_batch))
        editor = ImageEditor(tmp_path / "model.safetensors", 4, 1)
        sizes: list[int] = []
        predict = editor.denoiser.network

        def count(x: Tensor, angle: Tensor, predict: Any = predict, sizes: list[int] = sizes) -> Tensor:
            sizes.append(len(x))
            return predict(x, angle)

        editor.denoiser = replace(editor.denoiser, network=count)
        varied, trip = editor.vary(faces, 0.5, "ddpm", 0), editor.round_trip(faces)[1]
        edits.append([varied, trip, editor.interpolate(faces[:1], faces[1:2], 5)[0]])
        assert max(sizes) == (micro_batch or 5)
    for whole, split in zip(*edits, strict=True):
        # Rounding can move a value across the limit between two grey levels.
        assert (whole.int() - split.int()).abs().max() <= 1


def test_features_are_computed_from_at_most_micro_batch_images_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def embed(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return x.mean((2, 3))

    extractor, features = Extractor("mean", "", 16, CPU, embed), []
    for micro_batch in ("100", "3"):
        monkeypatch.setenv("OMOKAGE_MICRO_BATCH", micro_batch)
        features.append(extractor.compute_features(make_faces(10)))
    assert sizes == [8, 8, 3, 3, 3, 3]
    torch.testing.assert_close(features[0], features[1])
