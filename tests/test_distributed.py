"""Several processes, or several parts of a batch, make what one makes of the whole.

Over four steps: AdamW and Muon both enlarge the last bits of a sum, about twofold a step, as any divided gradient does.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_training import CPU, faces, recipe, spec

from omokage import model
from omokage.training import loop
from omokage.training.world import World

SCRIPT = """
import sys
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


@pytest.mark.parametrize(("processes", "micro_batch"), [(2, 0), (2, 3), (3, 0)])
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


@pytest.mark.parametrize("micro_batch", [1, 3, 8])
def test_gradients_add_up_over_parts_of_a_batch(
    tmp_path: Path, alone: dict[str, torch.Tensor], micro_batch: int
) -> None:
    machine = loop.Machine(CPU, torch.float32, World(), micro_batch)
    done = loop.train(faces(), spec(), recipe(steps=4), machine, tmp_path, lambda row: None)
    assert far(done.network.state_dict(), alone) < 1e-5
