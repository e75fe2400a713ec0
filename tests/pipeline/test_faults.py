"""After a fault, `dvc repro` alone ends with the same outputs as an undisturbed run. benchmarks/chaos.py does more."""

import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clone import Clone, create_once, skip_unless_installed
from support.faults import cause_fault, find_processes, repro_until_success, start_repro
from support.runs import find_checkpoints, hash_outputs, wait_for
from support.sessions import output_path

CHANGE = {"kid_subsets": 4}  # reruns evaluate, figures and report
SECONDS = 12.0  # that these take, about
PROGRAMS = {"small files": ("prlimit", "util-linux"), "clock set back": ("faketime", "faketime")}


@pytest.fixture(scope="module")
def expected_outputs(
    finished_clone: Clone, bypass_snakemake: Callable[[Clone], Clone], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The hashes of the outputs after the change, without a fault."""

    def create(folder: Path) -> None:
        clone = bypass_snakemake(finished_clone.copy(folder))
        clone.set_params(**CHANGE)
        clone.repro()

    return hash_outputs(Clone(create_once(tmp_path_factory, "undisturbed change", create)))


@pytest.mark.long
@pytest.mark.parametrize("name", ["small files", pytest.param("clock set back", marks=pytest.mark.slow)])
def test_repro_after_a_fault_makes_the_same_outputs(
    copy_clone: Callable[[], Clone], expected_outputs: dict[str, str], name: str
) -> None:
    program, package = PROGRAMS[name]
    skip_unless_installed([program], package)

    def make_clone() -> Clone:
        clone = copy_clone()
        clone.set_params(**CHANGE)
        return clone

    clone, _ = cause_fault(name, make_clone, random.Random(0), SECONDS)
    repro_until_success(clone)
    assert hash_outputs(clone) == expected_outputs
    assert clone.repro() == []
    assert find_processes(clone) == []


def test_ctrl_c_stops_all_processes_and_says_how_to_resume(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    clone.set_params(steps=20_000, log_every=1)
    table = clone.root / "results" / "loss.csv"
    with start_repro(clone) as run:
        wait_for(lambda: table.read_text() if table.exists() else "", "\n20,")
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(timeout=60) != 0
    wait_for(lambda: str(find_processes(clone)), "[]", seconds=15)
    output = output_path(clone).read_text()
    assert re.search(r"train: stopped after step \d+: run the same command to resume", output)
    assert "Traceback" not in output
    assert find_checkpoints(clone)
