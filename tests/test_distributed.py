"""Several processes, or several parts of a batch, make what one makes of the whole.

Over four steps: AdamW and Muon both enlarge the last bits of a sum, about twofold a step, as any divided gradient does.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Clone
from safetensors.torch import load_file
from test_training import CPU, faces, recipe, spec

from omokage import model
from omokage.training import loop
from omokage.training.world import World

SCRIPT = """
import sys
from collections.abc import Callable
from pathlib import Path
import torch
sys.path[:0] = [sys.argv[3], sys.argv[3] + "/../src"]
from test_training import CPU, faces, recipe, spec
from omokage import model
from omokage.training import loop
from omokage.training.world import World
torch.set_num_threads(1)
machine = loop.Machine(CPU, torch.float32, World.join(CPU), int(sys.argv[2]) or None)
done = loop.train(faces(), spec(), recipe(steps=4), machine, Path(sys.argv[1]).with_suffix(".work"), lambda row: None)
if machine.world.rank == 0:
    model.save(Path(sys.argv[1]), done.network, spec())
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    place = tmp_path_factory.mktemp("alone")
    done = loop.train(faces(), spec(), recipe(steps=4), loop.Machine(CPU, torch.float32), place, lambda row: None)
    model.save(place / "model.safetensors", done.network, spec())
    return load_file(place / "model.safetensors")


def far(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The distance between two models' weights, as a fraction of their length."""
    apart = sum(float((one[key] - other[key]).double().square().sum()) for key in one)
    return float((apart / sum(float(value.double().square().sum()) for value in one.values())) ** 0.5)


@pytest.mark.parametrize(("processes", "micro_batch"), [(2, 0), (3, 2)])
def test_torchrun_trains_the_same_model(
    tmp_path: Path, alone: dict[str, torch.Tensor], processes: int, micro_batch: int
) -> None:
    script, out = tmp_path / "script.py", tmp_path / "model.safetensors"
    script.write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*torchrun, str(script), str(out), str(micro_batch), str(Path(__file__).parent)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert far(load_file(out), alone) < 1e-5


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_gradients_add_up_over_parts_of_a_batch(
    tmp_path: Path, alone: dict[str, torch.Tensor], micro_batch: int
) -> None:
    machine = loop.Machine(CPU, torch.float32, World(), micro_batch)
    done = loop.train(faces(), spec(), recipe(steps=4), machine, tmp_path, lambda row: None)
    assert far(done.network.state_dict(), alone) < 1e-5


def test_a_profile_has_several_processes_train(copy_of: Callable[[], Clone], finished: Clone) -> None:
    clone = copy_of().cold()
    (clone.root / "several.yaml").write_text("train_processes: 2\nmicro_batch: 3\n")
    profile = clone.root / "workflow" / "profiles" / "default" / "config.yaml"
    profile.write_text(profile.read_text() + "configfile: several.yaml\n")
    clone.snakemake("--forcerun", "train", "--", "train")
    losses = [
        [float(line.split(",")[2]) for line in (place.root / "results" / "loss.csv").read_text().split()[1:]]
        for place in (clone, finished)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=5e-3)  # bf16 where the processor has it
    log = clone.root / ".dvc" / "tmp" / "omokage" / "logs" / "workspace" / "train.log"
    assert log.exists()
