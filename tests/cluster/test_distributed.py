"""Training in several processes, or on several parts of a batch, gives the same model as one process on whole batches.

The tests take four steps: AdamW and Muon, like every optimiser that normalises gradients, about double the rounding
error of a sum at each step.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.clone import PYTHON_PATH, ROOT, Clone
from support.training import CPU, compute_relative_distance, make_spec, train_tiny
from torch import Tensor

from omokage.diffusion.model import save_model
from omokage.training.config import ComputeConfig

SCRIPT = ROOT / "tests" / "support" / "train_under_torchrun.py"


@pytest.fixture(scope="module")
def single_process_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file after four steps in one process, on whole batches."""
    folder = tmp_path_factory.mktemp("single process")
    save_model(folder / "model.safetensors", train_tiny(folder, steps=4).network, make_spec())
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def single_process_weights(single_process_model: Path) -> dict[str, Tensor]:
    """The weights in `single_process_model`."""
    return load_file(single_process_model)


def run_torchrun(processes: int, *arguments: str) -> None:
    """Train the tiny model in some processes; see train_under_torchrun.py for the arguments."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*torchrun, str(SCRIPT), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PYTHON_PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_torchrun_trains_the_same_model(tmp_path: Path, single_process_weights: dict[str, Tensor]) -> None:
    run_torchrun(2, str(tmp_path / "model.safetensors"), "0")
    assert compute_relative_distance(load_file(tmp_path / "model.safetensors"), single_process_weights) < 1e-5


def test_torchrun_goes_on_from_a_model_as_one_process_does(tmp_path: Path, single_process_model: Path) -> None:
    run_torchrun(3, str(tmp_path / "model.safetensors"), "2", str(single_process_model))
    expected = train_tiny(tmp_path / "work", steps=4, weights=load_file(single_process_model)).network.state_dict()
    assert compute_relative_distance(load_file(tmp_path / "model.safetensors"), expected) < 1e-5


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_gradients_of_the_parts_of_a_batch_add_up_to_those_of_the_batch(
    tmp_path: Path, single_process_weights: dict[str, Tensor], micro_batch: int
) -> None:
    compute = ComputeConfig(CPU, torch.float32, micro_batch=micro_batch)
    result = train_tiny(tmp_path, compute=compute, steps=4)
    assert compute_relative_distance(result.network.state_dict(), single_process_weights) < 1e-5


def test_a_profile_can_train_in_several_processes(copy_clone: Callable[[], Clone], finished_clone: Clone) -> None:
    clone = copy_clone().without_preloading()
    clone.configure_profile(train_processes=2, micro_batch=3)
    clone.snakemake("--forcerun", "train", "--", "train")
    losses = [
        [float(line.split(",")[2]) for line in (place / "results" / "loss.csv").read_text().split()[1:]]
        for place in (clone.root, finished_clone.root)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=5e-3)  # bf16 if the processor supports it
    log = clone.root / ".dvc" / "tmp" / "omokage" / "logs" / "workspace" / "train.log"
    assert log.exists()
